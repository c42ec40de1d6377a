package guest

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"testing"
)

const passwd = `root:x:0:0:System administrator:/root:/run/current-system/sw/bin/bash
nobody:x:65534:65534:nobody:/var/empty:/bin/nologin
web:x:1000:100:,,,:/home/web dir:/bin/zsh
web:x:1001:101:the second:/home/second:/bin/sh
1002:x:7:8:named like a number:/seven:/bin/seven
crlf:x:1003:100:::` + "\r\n" + `
relative:x:1004:100::home:zsh
control:x:1005:100::/a` + "\x1b[2J" + `b:/bin/` + "\x00" + `
big:x:65536:0::/:/bin/sh
negative:x:-1:0::/:/bin/sh
huge:x:99999999999999999999:0::/:/bin/sh
biggid:x:1006:65536::/:/bin/sh
hex:x:0x10:0::/:/bin/sh
short:x:1007:100:/:/bin/sh
long:x:1008:100::/:/bin/sh:more
fake` + "\x00" + `:x:1009:100::/:/bin/sh
:x:1010:100:empty:/empty:/bin/sh
last:x:1011:100::/last:/bin/last`

func TestFindAccount(t *testing.T) {
	t.Parallel()
	for user, want := range map[string]string{
		"root":                 "root 0 0 /root /run/current-system/sw/bin/bash",
		"0":                    "root 0 0 /root /run/current-system/sw/bin/bash",
		"00":                   "root 0 0 /root /run/current-system/sw/bin/bash",
		"web":                  "web 1000 100 /home/web dir /bin/zsh",
		"1001":                 "web 1001 101 /home/second /bin/sh",
		"1002":                 "1002 7 8 /seven /bin/seven", // a name before a number
		"7":                    "1002 7 8 /seven /bin/seven",
		"crlf":                 "crlf 1003 100 / /bin/sh",
		"relative":             "relative 1004 100 / /bin/sh",
		"control":              "control 1005 100 / /bin/sh",
		"1010":                 " 1010 100 /empty /bin/sh",
		"last":                 "last 1011 100 /last /bin/last",
		"4711":                 "4711 4711 4711 / /bin/sh", // a number without a line
		"1009":                 "1009 1009 1009 / /bin/sh",
		"65535":                "65535 65535 65535 / /bin/sh",
		"65536":                "",
		"-1":                   "",
		"99999999999999999999": "",
		"big":                  "",
		"negative":             "",
		"huge":                 "",
		"biggid":               "",
		"hex":                  "",
		"short":                "",
		"long":                 "",
		"fake":                 "",
		"missing":              "",
		"WEB":                  "",
		"web:x":                "",
		"root\n":               "",
	} {
		got := ""
		if a, ok := findAccount([]byte(passwd), user); ok {
			got = fmt.Sprint(a.Name, " ", a.UID, " ", a.GID, " ", a.Home, " ", a.Shell)
		}
		if got != want {
			t.Errorf("%q is %q, not %q", user, got, want)
		}
	}
}

// Who is to repair a guest gets in.
func TestFindRoot(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                                       "root 0 0 /root /bin/sh",
		"\x00\x00":                               "root 0 0 /root /bin/sh",
		"root:x:1000:100::/home:/bin/no":         "root 0 0 /root /bin/sh",
		"root:x:1:1::/a:/a\nroot:x:0:0::/b:/b\n": "root 0 0 /b /b",
		"toor:x:0:0::/home:/bin/no":              "root 0 0 /root /bin/sh",
	} {
		a, _ := findAccount([]byte(text), "root")
		if got := fmt.Sprint(a.Name, " ", a.UID, " ", a.GID, " ", a.Home, " ", a.Shell); got != want {
			t.Errorf("%q: %q, not %q", text, got, want)
		}
	}
}

func TestGroups(t *testing.T) {
	t.Parallel()
	var many strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&many, "g%d:x:%d:web\n", i, i)
	}
	for text, want := range map[string]string{
		"":                               "[]",
		"wheel:x:1:web\n":                "[1]",
		"wheel:x:1:a,web,b\nx:x:2:web":   "[1 2]",
		"wheel:x:1:webmaster,awe\n":      "[]",
		"wheel:x:1:\nweb:x:2:\n":         "[]",
		"a:x:-1:web\nb:x:65536:web\n":    "[]",
		"a:x:1:web:\na:x:web\na:x:z:web": "[]",
		"a:x:5:web\r\n":                  "[5]",
		many.String():                    fmt.Sprint(slices.Collect(func(yield func(int) bool) { upTo(64, yield) })),
	} {
		if got := fmt.Sprint(groupsOf([]byte(text), Account{Name: "web"})); got != want {
			t.Errorf("%.60q: %s, not %s", text, got, want)
		}
	}
}

func upTo(n int, yield func(int) bool) {
	for i := range n {
		if !yield(i) {
			return
		}
	}
}

// FuzzFindAccount holds that whatever a guest's file says, its numbers are a
// guest's and its texts can be given to a program.
func FuzzFindAccount(f *testing.F) {
	f.Add([]byte(passwd), "web")
	f.Add([]byte(passwd), "0")
	f.Add([]byte("a:x:1:2::/:/\n"), "a")
	f.Fuzz(func(t *testing.T, file []byte, user string) {
		a, ok := findAccount(file, user)
		switch {
		case !ok:
			if a.Name != "" || a.UID != 0 {
				t.Errorf("no account, but %+v", a)
			}
			return
		case a.UID < 0 || a.UID > maxID || a.GID < 0 || a.GID > maxID:
			t.Errorf("no guest has the numbers of %+v", a)
		}
		for _, p := range []string{a.Home, a.Shell} {
			if !path.IsAbs(p) || strings.ContainsFunc(p, isControl) {
				t.Errorf("%q is no path", p)
			}
		}
		if strings.ContainsFunc(a.Name, isControl) {
			t.Errorf("%q is no name", a.Name)
		}
	})
}

// FuzzGroups holds the same for groups, and that there are not too many.
func FuzzGroups(f *testing.F) {
	f.Add([]byte("wheel:x:1:a,web\n"), "web")
	f.Add([]byte("::0:\n"), "")
	f.Fuzz(func(t *testing.T, file []byte, user string) {
		groups := groupsOf(file, Account{Name: user})
		if len(groups) > 64 {
			t.Errorf("%d groups", len(groups))
		}
		for _, g := range groups {
			if g < 0 || g > maxID {
				t.Errorf("no guest has the group %d", g)
			}
		}
	})
}
