// Package archive turns directory trees into tar streams and tar streams into
// directory trees. It trusts neither: a stream may come from anywhere, and a
// tree may be the root of a guest that changes it meanwhile.
//
// Extract never writes outside the directory it is given. It works on open
// directories, one path component at a time, and follows no link of the tree
// except as the parent of an entry, through os.Root, and only inside the
// directory. Write follows no link at all and stays on one mount.
//
// Images and their references are the business of package image.
package archive
