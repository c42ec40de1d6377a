package journal

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const machine = "0123456789abcdef0123456789abcdef"

// message is an entry of the second n with a message, and other fields.
func message(n uint64, text string, fields ...string) made {
	return made{n * 1e6, n * 1000, 1, append([]string{"MESSAGE=" + text}, fields...)}
}

// tree is the root of a guest with journal files, by their paths below /var/log/journal.
func tree(t *testing.T, files map[string][]byte) []Place {
	t.Helper()
	dir := t.TempDir()
	must(t, os.MkdirAll(filepath.Join(dir, Persistent, machine), 0o755))
	for path, b := range files {
		path = filepath.Join(dir, Persistent, path)
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		must(t, os.WriteFile(path, b, 0o644))
	}
	root, err := os.OpenFile(dir, unix.O_PATH|unix.O_DIRECTORY, 0)
	must(t, err)
	t.Cleanup(func() { root.Close() })
	return []Place{{root, Persistent}, {root, Volatile}}
}

func texts(entries []Entry) string {
	var out []string
	for _, e := range entries {
		out = append(out, e.Message)
	}
	return strings.Join(out, "|")
}

func all(t *testing.T, r *Reader, places []Place, q Query) []Entry {
	t.Helper()
	var out []Entry
	must(t, r.All(places, []string{machine}, q, func(e Entry) error {
		out = append(out, e)
		return nil
	}))
	return out
}

// TestForms reads each form that files have.
func TestForms(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("long ", 500)
	for _, compact := range []bool{false, true} {
		for _, packed := range []byte{0, packedXZ, packedLZ4, packedZstd} {
			for _, perArray := range []int{1, 2, 100} {
				file := build(t, 1, compact, packed, perArray, message(1, "one", "PRIORITY=3", "_PID=7", "SYSLOG_IDENTIFIER=me", "_SYSTEMD_UNIT=a.service", "OTHER=x"),
					message(2, long), message(3, "three\nlines\n\n"), message(4, "bad \xff byte"))
				places := tree(t, map[string][]byte{machine + "/system.journal": file})
				got := all(t, &Reader{}, places, Query{Priority: 7})
				if want := "one|" + long + "|three\nlines|bad \ufffd byte"; texts(got) != want {
					t.Fatalf("compact %v, packed %d, lists of %d: %.200q", compact, packed, perArray, texts(got))
				}
				e := got[0]
				if e.Priority != 3 || e.PID != 7 || e.Identifier != "me" || e.Unit != "a.service" || !e.Time.Equal(time.Unix(1, 0)) || e.Boot != "01"+strings.Repeat("0", 30) {
					t.Errorf("compact %v: %+v", compact, e)
				}
			}
		}
	}
}

func TestOrder(t *testing.T) {
	t.Parallel()
	one := build(t, 1, true, 0, 2, message(1, "1"), message(4, "4"), message(5, "5"))
	two := build(t, 2, false, 0, 2, message(2, "2"), message(3, "3"), message(6, "6"))
	copied := build(t, 3, false, 0, 2, message(1, "1"), message(2, "2")) // as when journald moves to disk
	places := tree(t, map[string][]byte{
		machine + "/system.journal": one, machine + "/user-1000.journal": two, machine + "/system@x.journal~": copied,
		machine + "/other": one, strings.Repeat("a", 32) + "/system.journal": build(t, 9, true, 0, 2, message(1, "of another machine")),
	})
	if got := texts(all(t, &Reader{}, places, Query{Priority: 7})); got != "1|2|3|4|5|6" {
		t.Error(got)
	}
	if got := texts(all(t, &Reader{}, places, Query{Priority: 7, Since: time.Unix(3, 0), Until: time.Unix(5, 0)})); got != "3|4|5" {
		t.Error(got)
	}
	for n, want := range []string{"", "6", "5|6", "4|5|6"} {
		r := &Reader{}
		entries, err := r.Last(places, []string{machine}, Query{Priority: 7}, n)
		if got := texts(entries); got != want || err != nil {
			t.Errorf("the last %d: %s (%v)", n, got, err)
		}
		if got := texts(all(t, r, places, Query{Priority: 7})); got != "" {
			t.Errorf("after the last %d came: %s", n, got)
		}
	}
}

// TestBoots finds the boots in files whose times overlap.
func TestBoots(t *testing.T) {
	t.Parallel()
	of := func(boot byte, second uint64) made {
		m := message(second, "x")
		m.boot = boot
		return m
	}
	places := tree(t, map[string][]byte{
		machine + "/a.journal": build(t, 1, false, 0, 2, of(7, 10), of(7, 12), of(3, 20)),
		machine + "/b.journal": build(t, 2, true, 0, 2, of(7, 9), of(3, 25), of(5, 30)),
	})
	got, err := Boots(places, []string{machine})
	must(t, err)
	var text []string
	for _, b := range got {
		text = append(text, fmt.Sprintf("%s %d-%d", strings.TrimRight(b.ID, "0"), b.First.Unix(), b.Last.Unix()))
	}
	if s := strings.Join(text, ", "); s != "07 9-12, 03 20-25, 05 30-30" {
		t.Errorf("the boots are %s", s)
	}
	if e := all(t, &Reader{}, places, Query{Priority: 7, Boot: got[1].ID}); len(e) != 2 {
		t.Errorf("of a boot there are %d entries", len(e))
	}
	if none, err := Boots(nil, nil); err != nil || len(none) > 0 {
		t.Errorf("without journals: %v, %v", none, err)
	}
}

// TestGrow reads what is new only, also where it is in another file.
func TestGrow(t *testing.T) {
	t.Parallel()
	before := build(t, 1, true, 0, 2, message(1, "1"), message(2, "2"))
	places := tree(t, map[string][]byte{machine + "/system.journal": before})
	dir := filepath.Join(places[0].Root.Name(), Persistent, machine)
	r := &Reader{}
	if got := texts(all(t, r, places, Query{Priority: 7})); got != "1|2" {
		t.Error(got)
	}
	must(t, os.WriteFile(filepath.Join(dir, "system.journal"), build(t, 1, true, 0, 2, message(1, "1"), message(2, "2"), message(3, "3")), 0o644))
	must(t, os.WriteFile(filepath.Join(dir, "new.journal"), build(t, 2, true, 0, 2, message(2, "2"), message(4, "4")), 0o644))
	if got := texts(all(t, r, places, Query{Priority: 7})); got != "3|4" {
		t.Error(got)
	}
	must(t, os.Rename(filepath.Join(dir, "system.journal"), filepath.Join(dir, "system@1.journal")))
	if got := texts(all(t, r, places, Query{Priority: 7})); got != "" {
		t.Error(got)
	}
}

func TestUnits(t *testing.T) {
	t.Parallel()
	places := tree(t, map[string][]byte{machine + "/system.journal": build(t, 1, true, 0, 9,
		message(1, "from", "_SYSTEMD_UNIT=web.service"),
		message(2, "about", "_PID=1", "UNIT=web.service", "_SYSTEMD_UNIT=init.scope"),
		message(3, "forged", "_PID=2", "UNIT=web.service", "_SYSTEMD_UNIT=other.service"),
		message(4, "dump", "_UID=0", "COREDUMP_UNIT=web.service", "PRIORITY=2"),
		message(5, "socket", "_SYSTEMD_UNIT=web.socket"))})
	for pattern, want := range map[string]string{
		"web": "from|about|dump", "web.service": "from|about|dump", "web.*": "from|about|dump|socket", "web*": "from|about|dump|socket", "o*er.service": "forged", "a.b": "", "[": "",
	} {
		if got := texts(all(t, &Reader{}, places, Query{Priority: 7, Units: []string{Unit(pattern)}})); got != want {
			t.Errorf("%s: %s", pattern, got)
		}
	}
	if got := texts(all(t, &Reader{}, places, Query{Priority: 3})); got != "dump" {
		t.Errorf("urgent: %s", got)
	}
}

// TestHostileDirectory wants nothing to lead out of the root, and nothing to
// wait for ever.
func TestHostileDirectory(t *testing.T) {
	t.Parallel()
	outside := filepath.Join(t.TempDir(), "host.journal")
	must(t, os.WriteFile(outside, build(t, 9, true, 0, 9, message(1, "of the host")), 0o644))
	places := tree(t, map[string][]byte{machine + "/good.journal": build(t, 1, true, 0, 9, message(1, "good")), machine + "/empty.journal": nil,
		machine + "/text.journal": bytes.Repeat([]byte("x"), 1000)})
	dir := filepath.Join(places[0].Root.Name(), Persistent, machine)
	must(t, os.Symlink(outside, filepath.Join(dir, "link.journal")))
	must(t, unix.Mkfifo(filepath.Join(dir, "pipe.journal"), 0o644))
	must(t, os.Mkdir(filepath.Join(dir, "directory.journal"), 0o755))
	must(t, os.Mkdir(filepath.Join(dir, "\x1b[2J.journal"), 0o755))
	var got []string
	err := (&Reader{}).All(places, []string{machine}, Query{Priority: 7}, func(e Entry) error {
		got = append(got, e.Message)
		return nil
	})
	if !slices.Equal(got, []string{"good"}) {
		t.Errorf("read %q", got)
	}
	for _, want := range []string{"link.journal", "pipe.journal: it is not a regular file", "directory.journal: it is not a regular file", "text.journal: it is not a journal file", machine + "/.journal: it is not"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not told: %v", want, err)
		}
	}

	// A link instead of the directory leads to a place below the root only.
	must(t, os.RemoveAll(filepath.Dir(dir)))
	must(t, os.MkdirAll(filepath.Join(filepath.Dir(outside), machine), 0o755))
	must(t, os.Rename(outside, filepath.Join(filepath.Dir(outside), machine, "host.journal")))
	must(t, os.Symlink(filepath.Dir(outside), filepath.Dir(dir)))
	if got := texts(all(t, &Reader{}, places, Query{Priority: 7})); got != "" {
		t.Errorf("a link led to %q", got)
	}
}

func TestMachineID(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{machine + "\n": machine, "": "", "uninitialized\n": "", "../../etc": "", strings.ToUpper(machine): ""} {
		dir := t.TempDir()
		must(t, os.Mkdir(dir+"/etc", 0o755))
		must(t, os.WriteFile(dir+"/etc/machine-id", []byte(text), 0o644))
		root, err := os.Open(dir)
		must(t, err)
		if got := MachineID(root); got != want {
			t.Errorf("%q is taken as %q", text, got)
		}
		root.Close()
	}
}

// FuzzFile holds that no file makes the reader fail, or go on without end.
func FuzzFile(f *testing.F) {
	for _, compact := range []bool{false, true} {
		for _, packed := range []byte{0, packedXZ, packedLZ4, packedZstd} {
			f.Add(build(f, 1, compact, packed, 2, message(1, "one", "PRIORITY=3"), message(2, strings.Repeat("x", 100)), message(3, "three")))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		j, err := openFile(bytes.NewReader(b))
		if err != nil {
			return
		}
		j.search(time.Unix(2, 0))
		w := &way{opened: opened{file: j}}
		n := 0
		for w.forward(); !w.ended; w.forward() {
			if n++; n > len(b) {
				t.Fatalf("%d entries in %d bytes", n, len(b))
			}
			if e, err := w.entry(w.at); err == nil && (len(e.Message) > 3*maxValue || e.Priority < 0 || e.Priority > 7) {
				t.Fatal(fmt.Sprintf("%+v", e)[:1000])
			}
			w.at++
		}
		back := &way{opened: opened{file: j}, at: j.count}
		for back.backward(); !back.ended; back.backward() {
		}
	})
}
