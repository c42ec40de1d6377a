package embedded

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestSkipTo(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "log")
	long := strings.Repeat("x", 10000)
	text := "one\ntwo\n" + long + "\nfour\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for n, want := range map[int]string{-1: text, 0: "", 1: "four\n", 2: long + "\nfour\n", 3: "two\n" + long + "\nfour\n", 9: text} {
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := skipTo(f, n); err != nil {
			t.Fatal(err)
		}
		var got []string
		tl := &tail{path: path, file: f, print: func(_ time.Time, l []byte) { got = append(got, string(l)+"\n") }}
		if err := tl.read(); err != nil {
			t.Fatal(err)
		}
		f.Close()
		if strings.Join(got, "") != want {
			t.Errorf("the last %d lines are %.40q, not %.40q", n, strings.Join(got, ""), want)
		}
	}
}

func TestMarks(t *testing.T) {
	t.Parallel()
	second := func(n int) time.Time { return time.Unix(1_000_000+int64(n), 0) }
	log := filepath.Join(t.TempDir(), "log")
	if got := readMarks(log).time(5, second(9)); !got.Equal(second(9)) {
		t.Errorf("a line of a log without marks is of %v", got)
	}
	text := ""
	for _, m := range (marks{{0, second(0)}, {100, second(3)}, {200, second(60)}, {300, second(62)}}) {
		text += m.String()
	}
	if err := os.WriteFile(marksFile(log), []byte(text+"400 10"), 0o600); err != nil {
		t.Fatal(err)
	}
	m := readMarks(log)
	for offset, want := range map[int64]int{0: 0, 99: 0, 100: 55, 199: 55, 200: 60, 299: 60, 300: 85, 999: 85} {
		if got := m.time(offset, second(90)); !got.Equal(second(want)) {
			t.Errorf("what is at %d is of %v, not %v", offset, got, second(want))
		}
	}
}
