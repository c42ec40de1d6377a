package declare

import (
	"fmt"
	"math"
	"net"
	"net/url"
	"strconv"
	"strings"

	"github.com/berth-containers/berth/container"
)

// maxTasks is the most that pids.max of the kernel takes.
const maxTasks = 1 << 22

func limits() codec[container.Limits] {
	type limits = container.Limits
	return object("a map of limits such as memoryMax", limits{}, nil,
		key("memoryMax", memory(), func(l *limits) *container.Bytes { return &l.MemoryMax }),
		key("cpuQuota", share(), func(l *limits) *container.Percent { return &l.CPUQuota }),
		key("tasksMax", wholeNumber[uint64](1, maxTasks), func(l *limits) *uint64 { return &l.TasksMax }),
		key("ioWeight", wholeNumber[uint16](1, 10000), func(l *limits) *uint16 { return &l.IOWeight }),
	)
}

// leastMemory is less than any guest starts with. It catches 512 for 512M.
const leastMemory = 1 << 20

func memory() codec[container.Bytes] {
	return words[container.Bytes]{
		what: "an amount such as 512M or 2G", pattern: `^[0-9]+[KMGT]?$`, number: true,
		parse: func(_ *reader, s string) (container.Bytes, error) {
			b, err := container.ParseBytes(s)
			switch {
			case err != nil:
				return 0, err
			case b < leastMemory:
				return 0, hinted{fmt.Errorf("%s is less than any guest needs to start", count(int(b), "byte")), "write the unit too, such as 512M"}
			case b > math.MaxInt64:
				return 0, fmt.Errorf("%q is more than the kernel can count", s)
			}
			return b, nil
		},
		hint: func(s string) string {
			short := strings.TrimSuffix(strings.TrimSuffix(strings.ToUpper(s), "B"), "I")
			if _, err := container.ParseBytes(short); err == nil && short != s {
				return "write " + short
			}
			return ""
		},
		format: func(b container.Bytes) string {
			if b == 0 {
				return ""
			}
			return b.String()
		},
	}.codec()
}

func share() codec[container.Percent] {
	c := words[container.Percent]{
		what: "a share such as 50% or 200%", pattern: `^[0-9]+%$`,
		parse: func(_ *reader, s string) (container.Percent, error) { return container.ParsePercent(s) },
		format: func(p container.Percent) string {
			if p == 0 {
				return ""
			}
			return p.String()
		},
	}.codec()
	return withHint(c, func(v *value) string {
		if v.kind == kindInteger {
			return fmt.Sprintf("write %s%%", short(v.text))
		}
		return ""
	})
}

func labels() codec[container.Labels] {
	value := plain("", "", container.ParseLine).codec()
	return mapOf[string, container.Labels]("a map of labels", `^[A-Za-z0-9._/-]+$`, container.ParseLabel, value)
}

func healthCheck() codec[container.HealthCheck] {
	type check = container.HealthCheck
	return object("a map with command, tcp or http", check{}, oneProbe,
		key("command", listOf("a list of words", argument(), nil), func(c *check) *[]string { return &c.Command }),
		key("tcp", plain("an address such as :80", "", tcpAddress).codec(), func(c *check) *string { return &c.TCP }),
		key("http", plain("a URL", "", httpURL).codec(), func(c *check) *string { return &c.HTTP }),
		key("interval", timeSpan(), func(c *check) *container.Duration { return &c.Interval }),
		key("timeout", timeSpan(), func(c *check) *container.Duration { return &c.Timeout }),
		key("retries", wholeNumber[int](1, 1000), func(c *check) *int { return &c.Retries }),
	)
}

func oneProbe(_ *reader, _ path, c *container.HealthCheck) error {
	var given []string
	for _, p := range []struct {
		name string
		set  bool
	}{{"command", len(c.Command) > 0}, {"tcp", c.TCP != ""}, {"http", c.HTTP != ""}} {
		if p.set {
			given = append(given, p.name)
		}
	}
	switch len(given) {
	case 0:
		return fmt.Errorf("nothing says what to check: give one of command, tcp and http")
	case 1:
		return nil
	}
	return fmt.Errorf("%s are given: keep one", and(given))
}

// argument is one word of a command.
func argument() codec[string] {
	w := plain("", "", func(s string) (string, error) {
		if s == "" {
			return "", fmt.Errorf("the argument is empty")
		}
		return noNUL(s)
	})
	w.max = maxArgument
	return w.codec()
}

func tcpAddress(s string) (string, error) {
	_, port, err := net.SplitHostPort(s)
	n, perr := strconv.ParseUint(port, 10, 16)
	if err != nil || perr != nil || n == 0 {
		return "", fmt.Errorf("%q is not an address such as :80 or localhost:80", s)
	}
	return container.ParseLine(s)
}

func httpURL(s string) (string, error) {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return "", fmt.Errorf("%q is not a URL such as http://localhost:8080/health", s)
	}
	return s, nil
}
