// Package journal reads the journals that systemd-journald keeps in a guest.
//
// It knows the files themselves, as described in "Journal File Format" of the
// systemd project, in the plain and the compact form, and with all three
// compressions. They belong to a guest that is not trusted: no path leads out
// of the guest's root, files are read and not mapped, since the guest may cut
// them meanwhile, every offset and size is taken for a lie until shown to be
// true, and what one entry may take is bounded.
package journal
