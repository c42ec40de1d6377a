package launch

import (
	"fmt"
	"net"
	"time"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/boot"
	"github.com/berth-containers/berth/internal/state"
)

// findInit looks for what the guest boots in its mounted root.
func findInit(l *state.Launched, root string) (err error) {
	if l.Init, err = boot.Find(root); err != nil {
		return err
	}
	l.Updates = l.Init.Systemd() && boot.UpdatePending(root)
	return nil
}

// updateLimit is how long a guest may take to install an update while it
// boots, before it reboots by itself.
const updateLimit = 24 * time.Hour

// extend tells who waits for READY=1 that a guest which installs an update may
// take longer than timeoutStartSec; see EXTEND_TIMEOUT_USEC in sd_notify(3).
// Only the process that becomes systemd-nspawn can: that passes nothing of this
// kind on.
func extend(l state.Launched, socket string) error {
	limit := l.Spec.TimeoutStartSec
	if !l.Updates || socket == "" || limit == 0 || limit == container.Infinity {
		return nil
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("ask for more time: %w", err)
	}
	defer conn.Close()
	_, err = fmt.Fprintf(conn, "EXTEND_TIMEOUT_USEC=%d", updateLimit.Microseconds())
	return err
}
