package systemd

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strconv"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/state"
)

// idField tells, in the journal, a container from an earlier one of its name.
const idField = "BERTH_CONTAINER_ID"

// maxLine is how much of a line is shown, in bytes.
const maxLine = 64 << 10

// Console implements supervise.Recorder: the console's lines are in the
// journal, as those of the unit. Those of an earlier container of the name are
// another's.
func (s *Supervisor) Console(ctx context.Context, n container.Name, last int, follow bool, line func([]byte)) error {
	lines := "all"
	if last >= 0 {
		lines = strconv.Itoa(last)
	}
	rec, err := state.ReadRecord(s.Paths.Container(n))
	if err != nil {
		return err
	}
	args := []string{"--quiet", "--no-pager", "--output=cat", "--all", "--lines=" + lines,
		"_SYSTEMD_UNIT=" + s.unit(n), "SYSLOG_IDENTIFIER=berth-" + string(n), idField + "=" + rec.MachineID}
	if follow {
		args = append(args, "--follow")
	}
	cmd := exec.CommandContext(ctx, "journalctl", args...)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("read the journal: %w", err)
	}
	sc := bufio.NewScanner(out)
	sc.Buffer(nil, maxLine)
	for sc.Scan() {
		line(bytes.TrimRight(sc.Bytes(), "\r"))
	}
	if sc.Err() != nil {
		_ = cmd.Process.Kill() // it goes on writing otherwise
	}
	err = cmd.Wait()
	switch {
	case ctx.Err() != nil:
		return nil
	case err != nil && said.Len() > 0:
		return fmt.Errorf("read the journal: %s", bytes.TrimSpace(said.Bytes()))
	}
	return errors.Join(sc.Err(), err)
}
