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
)

// maxLine is how much of a line is shown, in bytes.
const maxLine = 64 << 10

// Console implements supervise.Recorder: the console's lines are in the
// journal, as those of the unit.
func (s *Supervisor) Console(ctx context.Context, n container.Name, last int, follow bool, line func([]byte)) error {
	lines := "all"
	if last >= 0 {
		lines = strconv.Itoa(last)
	}
	args := []string{"--quiet", "--no-pager", "--output=cat", "--lines=" + lines, "_SYSTEMD_UNIT=" + s.unit(n)}
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
