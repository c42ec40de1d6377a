package launch

import (
	"slices"
	"strings"
	"testing"

	"github.com/berth-containers/berth/container"
)

func TestCredentials(t *testing.T) {
	t.Parallel()
	open, locked := container.Credential{ID: "open", Path: "/etc/open"}, container.Credential{ID: "locked", Path: "/etc/locked", Encrypted: true}
	given := []container.Credential{open, locked}
	got, err := credentials(given, "/run/credentials/berth@web.service")
	if err != nil || got[0].Path != "/run/credentials/berth@web.service/open" || got[1].Path != "/run/credentials/berth@web.service/locked" {
		t.Errorf("from systemd: %v, %v", got, err)
	}
	if given[0] != open || given[1] != locked {
		t.Error("the spec was changed")
	}
	if got, err := credentials(given[:1], ""); err != nil || !slices.Equal(got, given[:1]) {
		t.Errorf("from files: %v, %v", got, err)
	}
	if _, err := credentials(given, ""); err == nil || !strings.Contains(err.Error(), "credentials.locked") {
		t.Errorf("an encrypted file without systemd: %v", err)
	}
}
