package image

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"
)

// defaultMirror serves where the host's own apt names none.
const defaultMirror = "http://deb.debian.org/debian"

// archiveKeyring signs Debian's releases; the package debian-archive-keyring
// has it.
const archiveKeyring = "/usr/share/keyrings/debian-archive-keyring.gpg"

// HostMirror is the Debian archive that the apt of this host uses.
func HostMirror() (string, error) {
	dir, err := os.OpenRoot("/etc/apt")
	if errors.Is(err, fs.ErrNotExist) {
		return defaultMirror, nil
	} else if err != nil {
		return "", err
	}
	defer dir.Close()
	return mirrorFrom(dir.FS())
}

// mirrorFrom looks through the sources of an /etc/apt.
func mirrorFrom(apt fs.FS) (string, error) {
	lists, err := fs.Glob(apt, "sources.list.d/*.list")
	if err != nil {
		return "", err
	}
	sources, err := fs.Glob(apt, "sources.list.d/*.sources")
	if err != nil {
		return "", err
	}
	for _, name := range slices.Concat([]string{"sources.list"}, sources, lists) {
		b, err := fs.ReadFile(apt, name)
		if err != nil {
			continue // not there, or a link that leads out of /etc/apt
		}
		parse := parseSourcesList
		if strings.HasSuffix(name, ".sources") {
			parse = parseDeb822
		}
		for _, src := range parse(string(b)) {
			if m := src.mirror(); m != "" {
				return m, nil
			}
		}
	}
	return defaultMirror, nil
}

// aptSource is one entry of sources.list(5).
type aptSource struct {
	types, uris, suites, components []string
	signedBy                        string
	disabled                        bool
}

// mirror is the URL of a Debian archive among the source's; "" if it is that
// of something else: security updates, or packages of others.
func (a aptSource) mirror() string {
	debian := slices.ContainsFunc(a.suites, isDebianSuite)
	if a.disabled || !debian || !slices.Contains(a.types, "deb") || !slices.Contains(a.components, "main") {
		return ""
	}
	if a.signedBy != "" && !strings.Contains(a.signedBy, "debian-archive-") {
		return ""
	}
	for _, uri := range a.uris {
		if servesDebian(uri) {
			return strings.TrimRight(uri, "/")
		}
	}
	return ""
}

// servesDebian tells Debian's own archive by the name of its directory, which
// all mirrors keep.
func servesDebian(uri string) bool {
	if !strings.HasPrefix(uri, "http://") && !strings.HasPrefix(uri, "https://") {
		return false
	}
	parts := strings.Split(strings.TrimRight(uri, "/"), "/")
	return len(parts) > 3 && slices.Contains(parts[3:], "debian")
}

func isDebianSuite(s string) bool {
	base, _, _ := strings.Cut(s, "-")
	if strings.HasSuffix(s, "-security") {
		return false
	}
	return slices.Contains([]string{
		"oldstable", "stable", "testing", "unstable", "sid",
		"bullseye", "bookworm", "trixie", "forky", "duke",
	}, base)
}

// parseSourcesList reads the one-line format: deb [options] uri suite
// component... What is not understood is left out.
func parseSourcesList(text string) (out []aptSource) {
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		var a aptSource
		if before, rest, ok := strings.Cut(line, "["); ok {
			options, after, closed := strings.Cut(rest, "]")
			if !closed {
				continue
			}
			for o := range strings.FieldsSeq(options) {
				if by, ok := strings.CutPrefix(o, "signed-by="); ok {
					a.signedBy = by
				}
			}
			line = before + " " + after
		}
		f := strings.Fields(line)
		if len(f) < 4 {
			continue
		}
		a.types, a.uris, a.suites, a.components = f[:1], f[1:2], f[2:3], f[3:]
		out = append(out, a)
	}
	return out
}

// parseDeb822 reads the format of stanzas, as in deb822(5).
func parseDeb822(text string) (out []aptSource) {
	stanza := map[string]string{}
	last := ""
	flush := func() {
		if len(stanza) > 0 {
			out = append(out, newAptSource(stanza))
		}
		stanza, last = map[string]string{}, ""
	}
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		switch {
		case strings.HasPrefix(line, "#"):
		case strings.TrimSpace(line) == "":
			flush()
		case (line[0] == ' ' || line[0] == '\t') && last != "":
			stanza[last] += " " + strings.TrimSpace(line)
		default:
			key, value, ok := strings.Cut(line, ":")
			if ok {
				last = strings.ToLower(strings.TrimSpace(key))
				stanza[last] = strings.TrimSpace(value)
			}
		}
	}
	flush()
	return out
}

func newAptSource(stanza map[string]string) aptSource {
	enabled := strings.ToLower(stanza["enabled"])
	return aptSource{
		types:      strings.Fields(stanza["types"]),
		uris:       strings.Fields(stanza["uris"]),
		suites:     strings.Fields(stanza["suites"]),
		components: strings.Fields(stanza["components"]),
		signedBy:   stanza["signed-by"],
		disabled:   slices.Contains([]string{"no", "false", "0", "off", "without", "disable"}, enabled),
	}
}
