package main

import (
	"errors"
	"strings"
	"testing"
)

func TestResults(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		in      string
		err     error
		closing string
		shown   string
		why     string
	}{
		"all passed": {
			in: "^=== RUN   TestA\n^=== PAUSE TestA\n^=== RUN   TestB\n    b_test.go:1: chatter\n^--- PASS: TestB (0.10s)\n" +
				"^=== CONT  TestA\n^=== RUN   TestA/one\n^--- PASS: TestA/one (0.00s)\n^--- PASS: TestA (0.00s)\n^PASS\ne2e: left behind\n",
			closing: "h 2 passed, 0 failed", shown: "h: e2e: left behind\n",
		},
		"failures in turns": {
			in: "^=== RUN   TestA\n^=== RUN   TestB\n^=== NAME  TestA\n    a_test.go:7: wrong\n^=== NAME  TestB\n    b_test.go:8: fine\n" +
				"^--- FAIL: TestA (1.00s)\n^--- PASS: TestB (0.10s)\n^FAIL\n",
			closing: "h 1 passed, 1 failed: TestA", shown: "h: TestA:     a_test.go:7: wrong\nh: --- FAIL: TestA (1.00s)\n",
			why: "h: TestA: a_test.go:7: wrong",
		},
		"a test that looks like a test binary": {
			in:      "^=== RUN   TestA\n--- FAIL: TestA (0.00s)\nno newline^--- PASS: TestA (0.00s)\n",
			closing: "h 1 passed, 0 failed",
		},
		"skipped": {
			in:      "^=== RUN   TestA\n^--- SKIP: TestA (0.00s)\n",
			closing: "h 0 passed, 1 failed: TestA", shown: "h: --- SKIP: TestA (0.00s)\n",
		},
		"rows of others": {
			in: "^=== RUN   TestShared\n^--- PASS: TestShared (0.00s)\n^=== RUN   TestHalf\n^=== RUN   TestHalf/one\n^--- PASS: TestHalf/one (0.00s)\n" +
				"^--- PASS: TestHalf (0.00s)\n",
			closing: "h 1 passed, 0 failed",
		},
		"a panic": {
			in:      "^=== RUN   TestA\n^=== RUN   TestA/b\npanic: oh\n\ngoroutine 1",
			closing: "h 0 passed, 1 failed: TestA",
			shown:   "h: --- FAIL: TestA (it did not end)\nh: TestA/b: panic: oh\nh: TestA/b: \nh: TestA/b: goroutine 1\nh: --- FAIL: TestA/b (it did not end)\n",
		},
		"no host": {
			err:     errors.New("boot h: no\nmore"),
			closing: "h 0 passed, 0 failed; boot h: no", shown: "h: boot h: no\nmore\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var shown strings.Builder
			r := &results{host: "h", out: &shown, partly: map[string]bool{"TestShared": true, "TestHalf": true}}
			for _, b := range []byte(strings.ReplaceAll(c.in, "^", mark)) {
				_, _ = r.Write([]byte{b})
			}
			r.end()
			if c.err != nil {
				r.problem(c.err)
			}
			if got := r.closing(); got != c.closing {
				t.Errorf("closing line %q, want %q", got, c.closing)
			}
			if got := shown.String(); got != c.shown {
				t.Errorf("shown:\n%s\nwant:\n%s", got, c.shown)
			}
			if got := strings.Join(r.why, "\n"); got != c.why {
				t.Errorf("it failed because of:\n%s\nwant:\n%s", got, c.why)
			}
			if r.ok() != strings.HasSuffix(c.closing, " 0 failed") {
				t.Errorf("ok() is %t", r.ok())
			}
		})
	}
}
