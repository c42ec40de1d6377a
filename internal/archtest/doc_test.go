// Package archtest holds the whole module to its architecture: which package
// may import which, and the rules of style that a program can check. It has
// nothing but tests.
package archtest
