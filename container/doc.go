// Package container is the vocabulary of berth: what a container is called,
// what its owner wants of it (Spec), what it is doing (Status), and what would
// have to change (Step). It is pure data: it reads nothing, runs nothing and
// imports no other package of this module.
package container
