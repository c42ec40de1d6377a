package image

import (
	"strings"
	"testing"
	"testing/fstest"
)

func TestMirror(t *testing.T) {
	t.Parallel()
	const deb = "sources.list.d/debian.sources"
	for name, tc := range map[string]struct {
		files map[string]string
		want  string
	}{
		"nothing": {nil, defaultMirror},
		"one line": {map[string]string{"sources.list": "# old\ndeb http://ftp.de.debian.org/debian/ bookworm main # contrib\n"},
			"http://ftp.de.debian.org/debian"},
		"options": {map[string]string{"sources.list": "deb [arch=amd64 signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] https://m/debian trixie main"},
			"https://m/debian"},
		"not security": {map[string]string{"sources.list": "deb http://security.debian.org/debian-security bookworm-security main\ndeb http://m/debian bookworm-updates main"},
			"http://m/debian"},
		"not others": {map[string]string{
			"sources.list.d/docker.list": "deb https://download.docker.com/linux/debian bookworm stable",
			"sources.list.d/sury.list":   "deb [signed-by=/k/deb.sury.org.gpg] https://packages.sury.org/debian bookworm main",
			"sources.list.d/pg.list":     "deb https://apt.postgresql.org/pub/repos/debian pgdg main",
			"sources.list.d/ubuntu.list": "deb http://archive.ubuntu.com/ubuntu noble main",
			"sources.list.d/src.list":    "deb-src http://m/debian bookworm main",
			"sources.list.d/file.list":   "deb file:/srv/debian bookworm main",
		}, defaultMirror},
		"proxy": {map[string]string{"sources.list": "deb http://proxy:3142/deb.debian.org/debian stable main"},
			"http://proxy:3142/deb.debian.org/debian"},
		"deb822": {map[string]string{deb: "Types: deb deb-src\n# http://snapshot.debian.org/archive/debian/2025\nURIs: http://deb.debian.org/debian\n" +
			"Suites: bookworm\n bookworm-updates\nComponents: main\nSigned-By: /usr/share/keyrings/debian-archive-keyring.gpg\n\n" +
			"Types: deb\nURIs: http://deb.debian.org/debian-security\nSuites: bookworm-security\nComponents: main\n"},
			"http://deb.debian.org/debian"},
		"deb822 second": {map[string]string{deb: "Types: deb\nURIs: http://deb.debian.org/debian-security\nSuites: bookworm-security\nComponents: main\n\n\n" +
			"types: deb\nuris: http://second/debian\nsuites: sid\ncomponents: contrib main\n"}, "http://second/debian"},
		"disabled": {map[string]string{deb: "Enabled: no\nTypes: deb\nURIs: http://m/debian\nSuites: sid\nComponents: main\n"}, defaultMirror},
		"key in place": {map[string]string{deb: "Types: deb\nURIs: http://m/debian\nSuites: sid\nComponents: main\nSigned-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n"},
			defaultMirror},
		"broken": {map[string]string{"sources.list": "deb [arch=amd64 http://m/debian bookworm main\ndeb\n[]\n", deb: ": \n  x\n:"}, defaultMirror},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			apt := fstest.MapFS{}
			for n, text := range tc.files {
				apt[n] = &fstest.MapFile{Data: []byte(text)}
			}
			got, err := mirrorFrom(apt)
			must(t, err)
			if got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}

func FuzzSources(f *testing.F) {
	f.Add("deb [a=b] http://m/debian bookworm main # x\n")
	f.Add("Types: deb\nURIs: http://m/debian\nSuites: sid\n x\nComponents: main\n\n#\n")
	f.Fuzz(func(t *testing.T, text string) {
		for _, src := range append(parseSourcesList(text), parseDeb822(text)...) {
			m := src.mirror()
			if m != "" && !strings.HasPrefix(m, "http://") && !strings.HasPrefix(m, "https://") {
				t.Errorf("mirror %q", m)
			}
		}
	})
}
