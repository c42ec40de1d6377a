// Package image keeps the read-only root file systems that containers start
// from: it gets them from where a reference points, stores each content once,
// and removes them. On disk a store is
//
//	sha256/HEX/rootfs/     the tree of one image, owner and modes as in the guest
//	sha256/HEX/image.json  what is known of it
//	refs.json              which reference gave which image
//	staging/ID/            an import that is under way, or was interrupted
//	locks/                 one import of a reference at a time
//
// in a directory of mode 0700, so that no user of the host can reach the
// setuid programs of an image. An image appears by one rename and is never
// changed afterwards. How a container uses it is the business of others.
package image
