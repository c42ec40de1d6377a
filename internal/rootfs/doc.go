// Package rootfs assembles a guest's root file system from mounts, in the
// private mount namespace of the calling process: a shared read-only image
// below, what the guest changes above, and bind mounts, all seen through the
// guest's range of user numbers. It takes the same few system calls whatever
// the image's size.
package rootfs
