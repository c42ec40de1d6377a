// Package network gives guests their networks: it chooses addresses, puts links
// and rules in place before a guest's init runs, and takes them down after it.
package network
