package systemd

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"time"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/state"
)

// idField tells, in the journal, a container from an earlier one of its name.
const idField = "BERTH_CONTAINER_ID"

// maxLine is how much of a line of the journal in JSON is read, in bytes;
// journald cuts what comes from a stream at 48 KiB.
const maxLine = 1 << 20

// Console implements supervise.Recorder: the console's lines are in the
// journal, as those of the unit. Those of an earlier container of the name are
// another's.
func (s *Supervisor) Console(ctx context.Context, n container.Name, last int, line func(time.Time, []byte), follow func()) error {
	lines := "all"
	if last >= 0 {
		lines = strconv.Itoa(last)
	}
	began := time.Now()
	cursor := ""
	tell := func(e entry) {
		cursor = e.Cursor
		line(e.Time, e.Message)
	}
	err := s.journalctl(ctx, n, tell, "--lines="+lines)
	if err != nil || follow == nil {
		return err
	}
	after := "--after-cursor=" + cursor
	if last == 0 || cursor == "" { // with --lines=0 there is no cursor
		after = fmt.Sprintf("--since=@%d.%06d", began.Unix(), began.Nanosecond()/1000)
	}
	follow()
	return s.journalctl(ctx, n, tell, after, "--lines=all", "--follow")
}

// entry is what is read of an entry of the journal.
type entry struct {
	Cursor  string
	Time    time.Time
	Message []byte
}

// parseEntry reads a line of `journalctl --output=json`, where the message is
// a string, or a list of bytes if it is none.
func parseEntry(line []byte) (entry, error) {
	var raw struct {
		Cursor  string          `json:"__CURSOR"`
		Time    int64           `json:"__REALTIME_TIMESTAMP,string"`
		Message json.RawMessage `json:"MESSAGE"`
	}
	if err := json.Unmarshal(line, &raw); err != nil {
		return entry{}, err
	}
	e := entry{Cursor: raw.Cursor, Time: time.UnixMicro(raw.Time)}
	var text string
	var list []int
	switch {
	case json.Unmarshal(raw.Message, &text) == nil:
		e.Message = []byte(text)
	case json.Unmarshal(raw.Message, &list) == nil:
		for _, b := range list {
			e.Message = append(e.Message, byte(b))
		}
	}
	e.Message = bytes.TrimRight(e.Message, "\r")
	return e, nil
}

// journalctl calls f with the entries that the unit of a container has.
func (s *Supervisor) journalctl(ctx context.Context, n container.Name, f func(entry), args ...string) error {
	rec, err := state.ReadRecord(s.Paths.Container(n))
	if err != nil {
		return err
	}
	args = append([]string{"--quiet", "--no-pager", "--output=json", "--all", "--output-fields=MESSAGE",
		"_SYSTEMD_UNIT=" + s.unit(n), "SYSLOG_IDENTIFIER=berth-" + string(n), idField + "=" + rec.MachineID}, args...)
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
	var parse error
	for parse == nil && sc.Scan() {
		var e entry
		if e, parse = parseEntry(sc.Bytes()); parse == nil {
			f(e)
		}
	}
	if parse != nil || sc.Err() != nil {
		_ = cmd.Process.Kill() // it goes on writing otherwise
	}
	err = cmd.Wait()
	switch {
	case ctx.Err() != nil:
		return nil
	case err != nil && said.Len() > 0:
		return fmt.Errorf("read the journal: %s", bytes.TrimSpace(said.Bytes()))
	case parse != nil:
		return fmt.Errorf("read the journal: %w", parse)
	}
	return errors.Join(sc.Err(), err)
}
