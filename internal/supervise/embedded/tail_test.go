package embedded

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
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
		if err := skipTo(f, n); err != nil {
			t.Fatal(err)
		}
		var got []string
		tl := &tail{path: path, file: f, print: func(l []byte) { got = append(got, string(l)+"\n") }}
		if err := tl.read(); err != nil {
			t.Fatal(err)
		}
		f.Close()
		if strings.Join(got, "") != want {
			t.Errorf("the last %d lines are %.40q, not %.40q", n, strings.Join(got, ""), want)
		}
	}
}
