// Package dump gets whole lists from the kernel over netlink.
package dump

import (
	"errors"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Whole asks the kernel for a list, and again where it says that things have
// changed meanwhile.
func Whole[T any](ask func() ([]T, error)) ([]T, error) {
	const tries = 10
	list, err := ask()
	for range tries {
		if !errors.Is(err, netlink.ErrDumpInterrupted) && !errors.Is(err, unix.EINTR) {
			break
		}
		list, err = ask()
	}
	return list, err
}
