package serving

import (
	"errors"
	"net"
	"os"
)

// TellSystemd sends a message of sd_notify(3), where systemd wants any.
func TellSystemd(message string) error {
	path := os.Getenv("NOTIFY_SOCKET")
	if path == "" {
		return nil
	}
	c, err := net.Dial("unixgram", path)
	if err != nil {
		return err
	}
	_, err = c.Write([]byte(message))
	return errors.Join(err, c.Close())
}
