package systemd

import (
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"

	"github.com/berth-containers/berth/container"
)

// Said implements supervise.Witness. systemd-nspawn writes its own messages to
// the journal as what they are; what the guest writes to its console comes
// there as lines of its standard output.
func (s *Supervisor) Said(ctx context.Context, n container.Name) ([]string, error) {
	unit := "_SYSTEMD_UNIT=" + s.unit(n)
	run, err := journal(ctx, "--lines=1", "--output=json", "--output-fields=_SYSTEMD_INVOCATION_ID", unit)
	if err != nil || len(run) == 0 {
		return nil, err
	}
	var entry struct {
		Invocation string `json:"_SYSTEMD_INVOCATION_ID"`
	}
	if err := json.Unmarshal([]byte(run[0]), &entry); err != nil {
		return nil, fmt.Errorf("read the journal: %w", err)
	}
	return journal(ctx, "--lines=5", "--output=cat", "--priority=warning", unit,
		"_TRANSPORT=journal", "_SYSTEMD_INVOCATION_ID="+entry.Invocation)
}

// journal are the lines that journalctl prints.
func journal(ctx context.Context, args ...string) ([]string, error) {
	out, err := exec.CommandContext(ctx, "journalctl", append([]string{"--quiet", "--no-pager"}, args...)...).Output()
	if err != nil {
		return nil, fmt.Errorf("read the journal: %w", err)
	}
	text := strings.TrimSpace(string(out))
	if text == "" {
		return nil, nil
	}
	return strings.Split(text, "\n"), nil
}

// GroupPath implements supervise.Witness.
func (s *Supervisor) GroupPath(n container.Name) string { return "/machine.slice/" + s.unit(n) }
