package declare

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"unicode"

	"github.com/berth-containers/berth/container"
)

// plain is text that parse accepts and may bring into its canonical form.
func plain(what, pattern string, parse func(string) (string, error)) words[string] {
	return words[string]{
		what: what, pattern: pattern,
		parse:  func(_ *reader, s string) (string, error) { return parse(s) },
		format: func(s string) string { return s },
	}
}

func absolutePath(what string) codec[string] {
	return plain(what, "^/", container.ParsePath).codec()
}

// hostPath is a path on the host, relative to the declaration if it is not
// absolute.
func hostPath() codec[string] {
	w := plain("a path", "", nil)
	w.parse = resolve
	return w.codec()
}

// system is a path on the host, or one in a binary cache.
func system() codec[string] {
	w := plain("a path, or cache+URL/HASH-NAME", "", nil)
	w.parse = func(r *reader, s string) (string, error) {
		if !container.IsCachedSystem(s) {
			return resolve(r, s)
		}
		_, err := container.ParseCachedSystem(s)
		return s, err
	}
	return w.codec()
}

// resolve makes a path absolute as its author meant it.
func resolve(r *reader, s string) (string, error) {
	switch {
	case s == "":
		return "", fmt.Errorf("the path is empty")
	case strings.HasPrefix(s, "~"):
		return "", hinted{fmt.Errorf("%q starts with ~, which is not expanded here", s), "write the whole path, such as /home/..."}
	case strings.HasPrefix(s, "$"):
		return "", hinted{fmt.Errorf("%q starts with a variable, which is not expanded here", s), "write the path itself"}
	case !filepath.IsAbs(s):
		s = filepath.Join(r.dir, s)
	}
	return container.ParsePath(filepath.Clean(s))
}

func image() codec[container.ImageRef] {
	return words[container.ImageRef]{
		what: "an image such as debian:bookworm", pattern: `^(dir|tar|debian):[^:]`,
		parse: func(r *reader, s string) (container.ImageRef, error) {
			kind, arg, _ := strings.Cut(s, ":")
			if isURL(s) || isURL(arg) {
				return container.ImageRef{}, hinted{fmt.Errorf("%q is a URL, and images are files of the host", s), "download it (curl -LO URL), and write tar:FILE"}
			}
			if arg != "" && (kind == string(container.ImageDir) || kind == string(container.ImageTar)) {
				abs, err := resolve(r, arg)
				if err != nil {
					return container.ImageRef{}, err
				}
				s = kind + ":" + abs
			}
			return container.ParseImageRef(s)
		},
		format: container.ImageRef.String,
	}.codec()
}

func isURL(s string) bool {
	return strings.HasPrefix(s, "https://") || strings.HasPrefix(s, "http://")
}

// flake is a flake reference with the attribute of a NixOS system.
func flake() codec[string] {
	w := plain("a flake reference such as .#web", "", nil)
	w.parse = func(r *reader, s string) (string, error) {
		ref, attr, named := strings.Cut(s, "#")
		switch {
		case strings.ContainsFunc(s, func(c rune) bool { return unicode.IsSpace(c) || unicode.IsControl(c) }):
			return "", fmt.Errorf("%q has a space or a control character", s)
		case ref == "" || named && attr == "" || strings.HasPrefix(ref, "-"):
			return "", fmt.Errorf("%q does not have the form REF#ATTR, such as .#web or github:owner/repo#web", s)
		case strings.HasPrefix(ref, "."):
			ref = filepath.Join(r.dir, ref)
		}
		if !named {
			return ref, nil
		}
		return ref + "#" + attr, nil
	}
	return w.codec()
}

// module is the text of a NixOS module.
func module() codec[string] {
	w := plain("a NixOS module as text", "", func(s string) (string, error) {
		if strings.TrimSpace(s) == "" {
			return "", fmt.Errorf("the module is empty")
		}
		return s, nil
	})
	w.max = maxModule
	return w.codec()
}

// maxModule is the longest module in a declaration, in bytes: Nix gets it as
// an argument, which Linux bounds.
const maxModule = 100 << 10

// nixPath is what an entry of NIX_PATH can have: a directory, a URL, or in
// angle brackets a path that other entries lead to.
func nixPath() codec[string] {
	w := plain("a directory, a URL or a path such as <nixpkgs>", "", nil)
	w.parse = func(r *reader, s string) (string, error) {
		odd := func(c rune) bool {
			return unicode.IsSpace(c) || unicode.IsControl(c) || strings.ContainsRune(`"'<>$\`, c)
		}
		inner, angled := strings.CutPrefix(s, "<")
		switch {
		case angled && strings.HasSuffix(inner, ">") && len(inner) > 1 && !strings.ContainsFunc(inner[:len(inner)-1], odd):
			return s, nil
		case angled:
			return "", fmt.Errorf("%q does not have the form <NAME>, such as <nixpkgs>", s)
		case strings.Contains(s, "://") || strings.HasPrefix(s, "channel:") || strings.HasPrefix(s, "flake:"):
			if strings.ContainsFunc(s, odd) {
				return "", fmt.Errorf("%q is not a URL", s)
			}
			return s, nil
		}
		return resolve(r, s)
	}
	return w.codec()
}

// storeAccess is closure where nothing is said.
func storeAccess() codec[container.StoreAccess] {
	const closure, host = "closure", string(container.StoreHost)
	return words[container.StoreAccess]{
		what: "closure or host", options: []string{closure, host},
		parse: func(_ *reader, s string) (container.StoreAccess, error) {
			switch s {
			case closure:
				return container.StoreClosure, nil
			case host:
				return container.StoreHost, nil
			}
			return "", fmt.Errorf("%q is neither closure nor host", s)
		},
		format: func(a container.StoreAccess) string { return string(a) },
	}.codec()
}

// nixInGuest is none where nothing is said.
func nixInGuest() codec[container.NixInGuest] {
	const none, daemon, own = "none", string(container.NixDaemon), string(container.NixOwn)
	return words[container.NixInGuest]{
		what: "none, daemon or own", options: []string{none, daemon, own},
		parse: func(_ *reader, s string) (container.NixInGuest, error) {
			switch s {
			case none:
				return container.NixNone, nil
			case daemon, own:
				return container.NixInGuest(s), nil
			}
			return "", fmt.Errorf("%q is none of none, daemon and own", s)
		},
		format: func(n container.NixInGuest) string { return string(n) },
	}.codec()
}

func timeSpan() codec[container.Duration] {
	return words[container.Duration]{
		what: "a time span such as 90s or 5min", number: true,
		parse: func(_ *reader, s string) (container.Duration, error) {
			d, err := container.ParseDuration(s)
			if err == nil && d == 0 {
				err = hinted{fmt.Errorf("%q leaves no time at all", s), "write infinity for no bound"}
			}
			return d, err
		},
		format: func(d container.Duration) string {
			if d == 0 {
				return ""
			}
			return d.String()
		},
	}.codec()
}

func privateUsers() codec[container.PrivateUsers] {
	c := words[container.PrivateUsers]{
		what: "pick, no, identity or a number", pattern: `^(pick|no|identity|[0-9]+)$`, number: true,
		parse:  func(_ *reader, s string) (container.PrivateUsers, error) { return container.ParsePrivateUsers(s) },
		format: container.PrivateUsers.String,
		hint: func(s string) string {
			if n, err := strconv.Atoi(s); err == nil && n < container.IDRange {
				return "smaller numbers are for the host's own users; pick chooses a free range"
			}
			return ""
		},
	}.codec()
	return withHint(c, func(v *value) string {
		switch {
		case v.kind != kindBoolean:
			return ""
		case v.isTrue():
			return "write pick for a range of the container's own"
		default:
			return "write no, which is text here, for no user namespace"
		}
	})
}
