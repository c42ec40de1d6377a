package sysctl

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/berth-containers/berth/internal/namespace"
)

// inNetwork runs f in a network namespace of its own, that has the links a and
// b, and wants no ledger to be left.
func inNetwork(t *testing.T, f func() error) {
	t.Helper()
	err := namespace.Unshared(unix.CLONE_NEWNET, func() error {
		if out, err := exec.Command("ip", "link", "add", "name", "a", "type", "veth", "peer", "name", "b").CombinedOutput(); err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		if err := os.WriteFile("/proc/sys/"+four, []byte("0"), 0); err != nil { // it is the machine's at first
			return err
		}
		var ns unix.Stat_t
		if err := unix.Stat("/proc/thread-self/ns/net", &ns); err != nil {
			return err
		}
		if err := f(); err != nil {
			return err
		}
		cookie, err := cookie()
		if err != nil {
			return err
		}
		left, _ := filepath.Glob(filepath.Join(ledgers, fmt.Sprintf("%d-%d.*", ns.Ino, cookie)))
		for _, name := range left {
			t.Errorf("%s is left behind", name)
			os.Remove(name)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// all are the settings of the namespace.
func all() (string, error) {
	var out strings.Builder
	for _, family := range []string{"net/ipv4", "net/ipv6/conf"} {
		err := filepath.WalkDir(filepath.Join(dir, family), func(path string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			if b, err := os.ReadFile(path); err == nil { // some can only be written
				fmt.Fprintf(&out, "%s %s", path, b)
			}
			return nil
		})
		if err != nil {
			return "", err
		}
	}
	return out.String(), nil
}

func forward(t *testing.T, holder string) error {
	s, err := Forwarding()
	if err != nil {
		return err
	}
	return Borrow(t.Context(), holder, s...)
}

// want wants settings to have values, in turn.
func want(pairs ...string) error {
	for i := 0; i < len(pairs); i += 2 {
		if got, err := Value(pairs[i]); err != nil || got != pairs[i+1] {
			return fmt.Errorf("%s is %s, not %s (%v)", pairs[i], got, pairs[i+1], err)
		}
	}
	return nil
}

const (
	four = "net/ipv4/ip_forward"
	six  = "net/ipv6/conf/all/forwarding"
)

// steps does one after the other, until an error.
func steps(all ...func() error) error {
	for i, f := range all {
		if err := f(); err != nil {
			return fmt.Errorf("step %d: %w", i, err)
		}
	}
	return nil
}

// TestForwarding borrows by two holders, each twice, and wants every setting to
// be as before when the second has given it back: those too that the kernel
// changes together with forwarding.
func TestForwarding(t *testing.T) {
	t.Parallel()
	inNetwork(t, func() error {
		for _, s := range []string{"net/ipv4/conf/a/forwarding", "net/ipv6/conf/b/forwarding"} {
			if err := set(s, "1"); err != nil {
				return err
			}
		}
		if err := set("net/ipv4/conf/all/accept_redirects", "0"); err != nil {
			return err
		}
		before, err := all()
		if err != nil {
			return err
		}
		return steps(
			func() error { return forward(t, "x") },
			func() error {
				return want(four, "1", six, "1", "net/ipv6/conf/a/accept_ra", "2", "net/ipv6/conf/b/accept_ra", "1")
			},
			func() error { return forward(t, "x") },
			func() error { return forward(t, "y") },
			func() error { return forward(t, "y") },
			func() error { return Return(t.Context(), "x") },
			func() error { return Return(t.Context(), "x") },
			func() error { return want(four, "1", six, "1", "net/ipv6/conf/a/accept_ra", "2") },
			func() error { return Return(t.Context(), "nobody") },
			func() error { return Return(t.Context(), "y") },
			func() error {
				after, err := all()
				if err == nil && after != before {
					err = fmt.Errorf("before:\n%s\nafter:\n%s", before, after)
				}
				return err
			})
	})
}

// TestOthersChanges leaves what others have set before, and while it was
// borrowed.
func TestOthersChanges(t *testing.T) {
	t.Parallel()
	ttl := "net/ipv4/ip_default_ttl"
	inNetwork(t, func() error {
		return steps(
			func() error { return set(four, "1") },
			func() error { return forward(t, "x") },
			func() error { return Return(t.Context(), "x") },
			func() error { return want(four, "1", six, "0") },

			func() error { return Borrow(t.Context(), "x", Setting{Name: ttl, Value: "70"}) },
			func() error { return set(ttl, "99") },
			func() error { return Return(t.Context(), "x") },
			func() error { return want(ttl, "99") },

			func() error { return Borrow(t.Context(), "x", Setting{Name: ttl, Value: "70"}) },
			func() error { return set(ttl, "80") },
			func() error { return Borrow(t.Context(), "y", Setting{Name: ttl, Value: "70"}) },
			func() error { return Return(t.Context(), "y") },
			func() error { return want(ttl, "70") },
			func() error { return Return(t.Context(), "x") },
			func() error { return want(ttl, "80") })
	})
}

// TestKilled is killed between the ledger and the setting.
func TestKilled(t *testing.T) {
	t.Parallel()
	ttl := "net/ipv4/ip_default_ttl"
	killed := func() error {
		return change(t.Context(), func(l *ledger) error {
			l.loans = append(l.loans, loan{Name: ttl, Original: "64", Ours: "70", Holders: []string{"x"}})
			return l.write()
		})
	}
	inNetwork(t, func() error {
		return steps(killed,
			func() error { return Return(t.Context(), "x") },
			func() error { return want(ttl, "64") },
			killed,
			func() error { return Borrow(t.Context(), "x", Setting{Name: ttl, Value: "70"}) },
			func() error { return want(ttl, "70") },
			func() error { return Return(t.Context(), "x") },
			func() error { return want(ttl, "64") })
	})
}

// TestGone borrows a setting whose interface goes meanwhile.
func TestGone(t *testing.T) {
	t.Parallel()
	inNetwork(t, func() error {
		return steps(
			func() error { return forward(t, "x") },
			func() error { return exec.Command("ip", "link", "del", "dev", "a").Run() },
			func() error { return Return(t.Context(), "x") },
			func() error { return want(four, "0", six, "0") })
	})
}

// TestLapsed wants to know what somebody has changed, and not what is as it was
// borrowed.
func TestLapsed(t *testing.T) {
	t.Parallel()
	ttl := Setting{Name: "net/ipv4/ip_default_ttl", Value: "70"}
	lapsed := func(want int) func() error {
		return func() error {
			got, err := Lapsed(ttl)
			if err == nil && len(got) != want {
				err = fmt.Errorf("lapsed is %v", got)
			}
			return err
		}
	}
	inNetwork(t, func() error {
		return steps(
			lapsed(1),
			func() error { return Borrow(t.Context(), "x", ttl) },
			lapsed(0),
			func() error { return set(ttl.Name, "80") },
			lapsed(1),
			func() error { return Borrow(t.Context(), "x", ttl) },
			func() error { return Return(t.Context(), "x") },
			func() error { return want(ttl.Name, "80") })
	})
}

// TestNeighbours wants room for more neighbours in the machine's first network
// namespace, and nothing where it has room for more already, or elsewhere.
func TestNeighbours(t *testing.T) {
	t.Parallel()
	inNetwork(t, func() error {
		if s, err := Neighbours(); err != nil || len(s) > 0 {
			return fmt.Errorf("not in the first namespace, and %v, %v", s, err)
		}
		return nil
	})
	s, err := Neighbours()
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range s {
		if value, err := Value(n.Name); err != nil || len(value) > len(n.Value) || n.Value != fmt.Sprint(MostNeighbours) {
			t.Errorf("%v, and it is %s (%v)", n, value, err)
		}
	}
}
