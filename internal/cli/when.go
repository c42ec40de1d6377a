package cli

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/berth-containers/berth/container"
)

// parseTime reads a point in time in one of the forms of systemd.time(7) that
// people use, or of RFC 3339. Days and times without a zone are those of now.
func parseTime(s string, now time.Time) (time.Time, error) {
	year, month, day := now.Date()
	midnight := func(days int) time.Time { return time.Date(year, month, day+days, 0, 0, 0, 0, now.Location()) }
	switch s {
	case "now":
		return now, nil
	case "today":
		return midnight(0), nil
	case "yesterday":
		return midnight(-1), nil
	}
	if seconds, ok := strings.CutPrefix(s, "@"); ok {
		if f, err := strconv.ParseFloat(seconds, 64); err == nil && f >= 0 && f < 1e11 {
			return time.UnixMicro(int64(f * 1e6)), nil
		}
	}
	if t, ok := parseClock(s, midnight(0)); ok {
		return t, nil
	}
	span, before := strings.CutPrefix(s, "-")
	if ago, ok := strings.CutSuffix(span, " ago"); ok && !before {
		span = ago
	}
	// A bare number could be seconds or a date.
	if d, err := container.ParseDuration(span); err == nil && d != container.Infinity && strings.Trim(span, "0123456789 ") != "" {
		return now.Add(-time.Duration(d)), nil
	}
	return time.Time{}, fmt.Errorf(`%q is no time such as "2026-01-31 18:00:00", "18:00", "today", "10min" or "2h ago"`, s)
}

// parseClock reads a date, a time of day, or both.
func parseClock(s string, today time.Time) (time.Time, bool) {
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t, true
	}
	zone := today.Location()
	if local, ok := strings.CutSuffix(s, " UTC"); ok {
		s, zone = local, time.UTC
	}
	for _, form := range []string{time.DateTime, "2006-01-02T15:04:05", "2006-01-02 15:04", time.DateOnly} {
		if t, err := time.ParseInLocation(form, s, zone); err == nil {
			return t, true
		}
	}
	for _, form := range []string{time.TimeOnly, "15:04"} {
		if t, err := time.ParseInLocation(form, s, zone); err == nil {
			return time.Date(today.Year(), today.Month(), today.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), zone), true
		}
	}
	return time.Time{}, false
}
