package cli

import (
	"testing"
	"time"
)

func TestParseTime(t *testing.T) {
	t.Parallel()
	zone := time.FixedZone("here", 2*60*60)
	now := time.Date(2026, 3, 15, 12, 30, 0, 0, zone)
	for in, want := range map[string]string{
		"now":                       "2026-03-15T12:30:00+02:00",
		"today":                     "2026-03-15T00:00:00+02:00",
		"yesterday":                 "2026-03-14T00:00:00+02:00",
		"2026-01-31 18:00:00":       "2026-01-31T18:00:00+02:00",
		"2026-01-31 18:00:00.25":    "2026-01-31T18:00:00.25+02:00",
		"2026-01-31 18:00:00 UTC":   "2026-01-31T18:00:00Z",
		"2026-01-31T18:00:00":       "2026-01-31T18:00:00+02:00",
		"2026-01-31T18:00:00Z":      "2026-01-31T18:00:00Z",
		"2026-01-31T18:00:00.5Z":    "2026-01-31T18:00:00.5Z",
		"2026-01-31T18:00:00-07:00": "2026-01-31T18:00:00-07:00",
		"2026-01-31 18:00":          "2026-01-31T18:00:00+02:00",
		"2026-01-31":                "2026-01-31T00:00:00+02:00",
		"18:00":                     "2026-03-15T18:00:00+02:00",
		"18:00:05":                  "2026-03-15T18:00:05+02:00",
		"10m":                       "2026-03-15T12:20:00+02:00",
		"-10min":                    "2026-03-15T12:20:00+02:00",
		"1h30m ago":                 "2026-03-15T11:00:00+02:00",
		"1h 30min":                  "2026-03-15T11:00:00+02:00",
		"2 days ago":                "2026-03-13T12:30:00+02:00",
		"1week":                     "2026-03-08T12:30:00+02:00",
		"@1769878800":               "2026-01-31T17:00:00Z",
		"@1769878800.5":             "2026-01-31T17:00:00.5Z",
	} {
		wanted, err := time.Parse(time.RFC3339Nano, want)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := parseTime(in, now); err != nil || !got.Equal(wanted) {
			t.Errorf("%q is %v (%v), not %v", in, got, err, wanted)
		}
	}
	for _, in := range []string{"", "5", "20260131", "soon", "@", "@-1", "@1e300", "infinity", "- 10m ago", "-10m ago", "25:00", "2026-13-01", "10x", "ago"} {
		if got, err := parseTime(in, now); err == nil {
			t.Errorf("%q is taken as %v", in, got)
		}
	}
}

func TestParsePriority(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]int{"0": 0, "7": 7, "emerg": 0, "err": 3, "warning": 4, "debug": 7} {
		if got, err := parsePriority(in); err != nil || got != want {
			t.Errorf("%q is %d (%v), not %d", in, got, err, want)
		}
	}
	for _, in := range []string{"", "8", "-1", "error ", "ERR"} {
		if got, err := parsePriority(in); err == nil {
			t.Errorf("%q is taken as %d", in, got)
		}
	}
}
