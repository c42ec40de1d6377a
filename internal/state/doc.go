// Package state is what berth keeps on disk: where it lies, how a file is
// replaced without a moment in which it is half-written, how two processes
// stay out of each other's way, and how a tree is removed. What the files say
// is up to others.
package state
