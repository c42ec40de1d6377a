// Package nix has the words of Nix that berth uses without Nix: store paths,
// what is known of one, the .narinfo files that say it, and the signatures
// that make it worth believing. It reads and writes nothing itself: nar/ reads
// archives, cache/ binary caches, store/ keeps store paths on this host, and
// transport/ brings closures from one to another.
package nix
