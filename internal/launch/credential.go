package launch

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/berth-containers/berth/container"
)

// credentials are those that systemd-nspawn reads: those that systemd has put
// into dir, or else the host's files. Nobody else decrypts any.
func credentials(all []container.Credential, dir string) ([]container.Credential, error) {
	var out []container.Credential
	for _, c := range all {
		switch {
		case dir != "":
			c.Path = filepath.Join(dir, c.ID)
		case c.Encrypted:
			return nil, &container.Error{Err: fmt.Errorf("credentials.%s: %w", c.ID, errors.New("it is encrypted, and systemd, which could decrypt it, is not PID 1 here")),
				Hint: "decrypt it with systemd-creds, and leave encrypted out"}
		}
		out = append(out, c)
	}
	return out, nil
}
