package container

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Duration is a time span in the form of systemd.time(7): "90s", "1min 30s",
// a bare number of seconds, or "infinity".
type Duration time.Duration

// Infinity is the Duration that never ends.
const Infinity = Duration(math.MaxInt64)

var durationUnits = map[string]time.Duration{
	"": time.Second, "s": time.Second, "sec": time.Second, "second": time.Second, "seconds": time.Second,
	"ms": time.Millisecond, "msec": time.Millisecond,
	"us": time.Microsecond, "usec": time.Microsecond,
	"m": time.Minute, "min": time.Minute, "minute": time.Minute, "minutes": time.Minute,
	"h": time.Hour, "hr": time.Hour, "hour": time.Hour, "hours": time.Hour,
	"d": 24 * time.Hour, "day": 24 * time.Hour, "days": 24 * time.Hour,
	"w": 7 * 24 * time.Hour, "week": 7 * 24 * time.Hour, "weeks": 7 * 24 * time.Hour,
}

// ParseDuration reads a time span.
func ParseDuration(s string) (Duration, error) {
	if s == "infinity" {
		return Infinity, nil
	}
	bad := fmt.Errorf("%q is not a time span such as 90s, 5min or infinity", s)
	rest, total := strings.TrimSpace(s), time.Duration(0)
	if rest == "" {
		return 0, bad
	}
	for rest != "" {
		n := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' })
		if n < 0 {
			n = len(rest)
		}
		count, err := strconv.ParseInt(rest[:n], 10, 64)
		if err != nil {
			return 0, bad
		}
		rest = strings.TrimLeft(rest[n:], " ")
		u := strings.IndexFunc(rest, func(r rune) bool { return r < 'a' || r > 'z' })
		if u < 0 {
			u = len(rest)
		}
		unit, ok := durationUnits[rest[:u]]
		if !ok || count > int64((math.MaxInt64-total)/unit) {
			return 0, bad
		}
		total += time.Duration(count) * unit
		rest = strings.TrimLeft(rest[u:], " ")
	}
	return Duration(total), nil
}

// String is a form that ParseDuration reads.
func (d Duration) String() string {
	t := time.Duration(d)
	switch {
	case d == Infinity:
		return "infinity"
	case t%time.Hour == 0 && t != 0:
		return fmt.Sprintf("%dh", t/time.Hour)
	case t%time.Minute == 0 && t != 0:
		return fmt.Sprintf("%dmin", t/time.Minute)
	case t%time.Second == 0:
		return fmt.Sprintf("%ds", t/time.Second)
	case t%time.Millisecond == 0:
		return fmt.Sprintf("%dms", t/time.Millisecond)
	default:
		return fmt.Sprintf("%dus", t/time.Microsecond)
	}
}

// MarshalText implements encoding.TextMarshaler.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Duration) UnmarshalText(b []byte) error {
	v, err := ParseDuration(string(b))
	if err == nil {
		*d = v
	}
	return err
}

// Bytes is an amount of memory. It is written as systemd writes it, with a
// suffix K, M, G or T to the base of 1024.
type Bytes uint64

const byteSuffixes = "KMGT"

// ParseBytes reads an amount such as 512M or 1G.
func ParseBytes(s string) (Bytes, error) {
	bad := fmt.Errorf("%q is not an amount such as 512M or 2G", s)
	digits, factor := s, uint64(1)
	if n := len(s); n > 0 {
		if i := strings.IndexByte(byteSuffixes, s[n-1]); i >= 0 {
			digits, factor = s[:n-1], 1<<(10*(i+1))
		}
	}
	v, err := strconv.ParseUint(digits, 10, 64)
	if err != nil || v > math.MaxUint64/factor {
		return 0, bad
	}
	return Bytes(v * factor), nil
}

// String is the shortest exact form that ParseBytes reads.
func (b Bytes) String() string {
	v, suffix := uint64(b), ""
	for i := 0; i < len(byteSuffixes) && v != 0 && v%1024 == 0; i++ {
		v, suffix = v/1024, byteSuffixes[i:i+1]
	}
	return strconv.FormatUint(v, 10) + suffix
}

// MarshalText implements encoding.TextMarshaler.
func (b Bytes) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (b *Bytes) UnmarshalText(t []byte) error {
	v, err := ParseBytes(string(t))
	if err == nil {
		*b = v
	}
	return err
}

// Percent is a share of CPU time: 100 is one whole CPU.
type Percent uint32

// ParsePercent reads a whole number and a per cent sign: 150%.
func ParsePercent(s string) (Percent, error) {
	digits, ok := strings.CutSuffix(s, "%")
	v, err := strconv.ParseUint(digits, 10, 24)
	if !ok || err != nil || v == 0 {
		return 0, fmt.Errorf("%q is not a share such as 50%% or 200%%", s)
	}
	return Percent(v), nil
}

// String is the form that ParsePercent reads.
func (p Percent) String() string { return strconv.FormatUint(uint64(p), 10) + "%" }

// MarshalText implements encoding.TextMarshaler.
func (p Percent) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (p *Percent) UnmarshalText(b []byte) error {
	v, err := ParsePercent(string(b))
	if err == nil {
		*p = v
	}
	return err
}
