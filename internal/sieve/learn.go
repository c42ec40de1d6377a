package sieve

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/berth-containers/berth/internal/namespace"
	"github.com/berth-containers/berth/internal/process"
)

// Learn keeps the filters of a process as the answer to a question. The process
// is the first one of a guest, runs berth's own program, and nothing of the
// guest has run before: a guest could put filters of its own in. Its parent is
// the systemd-nspawn that was asked, and has installed them. Where this host
// will never let us know them an empty Sieve is kept.
func (s Store) Learn(ctx context.Context, key string, pid int) error {
	parent, err := process.Parent(pid)
	if err != nil {
		return err
	}
	filters, err := namespace.PlainFilters(ctx, pid)
	if err != nil {
		return err
	}
	files, err := filesOf(parent)
	if err != nil || len(filters) == 0 {
		files, filters = nil, nil
		program, failed := os.Readlink(fmt.Sprintf("/proc/%d/exe", parent))
		if failed != nil {
			return failed
		}
		f, failed := look(program)
		if failed != nil {
			return failed
		}
		files = []file{f}
	}
	return errors.Join(err, s.keep(kept{Key: key, Files: files, Sieve: namespace.AppendFilters(nil, filters)}))
}

// filesOf are the program and the libraries that a process runs, and what tells
// the dynamic loader which ones to take. They are an error if they may be others
// than those that the process has loaded, or are not known to compile filters.
func filesOf(pid int) ([]file, error) {
	begun, err := process.Started(pid)
	if err != nil {
		return nil, err
	}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		return nil, err
	}
	mapped, err := programs(string(b))
	if err != nil {
		return nil, err
	}
	var files []file
	for path, inode := range mapped {
		f, err := look(path)
		switch {
		case err != nil:
			return nil, err
		case f.Inode != inode || !time.Unix(0, f.Changed).Before(begun.Add(-settled)):
			return nil, fmt.Errorf("%s has changed since it was loaded", path)
		}
		files = append(files, f)
	}
	if !slices.ContainsFunc(files, file.compiler) {
		return nil, errors.New("systemd-nspawn has not loaded libseccomp")
	}
	for _, path := range []string{"/etc/ld.so.cache", "/etc/ld.so.preload"} {
		if f, err := look(path); err == nil {
			files = append(files, f)
		}
	}
	slices.SortFunc(files, func(a, b file) int { return strings.Compare(a.Path, b.Path) })
	return files, nil
}

// settled is how long before its start a program's files have to have been
// written: the clocks of files and processes are not exact.
const settled = 100 * time.Millisecond

// programs are the paths and inodes of what is mapped to be run; see
// proc_pid_maps(5).
func programs(maps string) (map[string]uint64, error) {
	out := map[string]uint64{}
	for line := range strings.Lines(maps) {
		f := bytes.SplitN([]byte(strings.TrimSuffix(line, "\n")), []byte(" "), 6)
		if len(f) < 6 {
			continue
		}
		path := string(bytes.TrimLeft(f[5], " "))
		if !strings.Contains(string(f[1]), "x") || !strings.HasPrefix(path, "/") {
			continue
		}
		inode, err := strconv.ParseUint(string(f[4]), 10, 64)
		if err != nil || strings.HasSuffix(path, " (deleted)") || strings.Contains(path, `\`) {
			return nil, fmt.Errorf("%s is not what was loaded", path)
		}
		out[path] = inode
	}
	return out, nil
}
