// Package rootfs assembles a guest's root file system from mounts, in the
// private mount namespace of the calling process: a shared read-only image
// below, or nothing, what the guest changes above, bind mounts, and packages of
// a store, all seen through the guest's range of user numbers. It takes the same
// few mounts whatever the image's size, and however many packages there are.
package rootfs
