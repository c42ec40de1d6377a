package plain

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestText(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"\x1b[0;32m  OK  \x1b[0m Started\r\n": "  OK   Started",
		"a\x07b\x00c\td":                      "abcd",
		"\x1b]0;title\x07x":                   "0;titlex",
		"gr\u00fc\u00df":                      "gr\u00fc\u00df",
		"eight bits\x9b2J, \u009b2J":          "eight bits2J, 2J",
		"\u202egnp.exe":                       "gnp.exe",
		"a\xffb\ufffdc":                       "ab\ufffdc",
		"\x1b":                                "",
		"\x1b[":                               "",
		"\x1b[12":                             "",
	} {
		if got := Text(in); got != want {
			t.Errorf("%q becomes %q, not %q", in, got, want)
		}
	}
}

func TestColoured(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"plain\ttext":                   "plain\ttext",
		"\x1b[0;32mOK\x1b[0m":           "\x1b[0;32mOK\x1b[0m",
		"\x1b[1mbold\x1b[m":             "\x1b[1mbold\x1b[m",
		"\x1b[8mand all after it":       "\x1b[8mand all after it\x1b[0m",
		"\x1b[0mno\x1b[30;40m":          "\x1b[0mno\x1b[30;40m\x1b[0m",
		"\x1b[2J\x1b[1;1Hgone":          "[2J[1;1Hgone",
		"\x1b]0;title\x07":              "]0;title",
		"bell\x07 back\x08 del\x7f\x1b": "bell back del",
		"gr\u00fc\u00df":                "gr\u00fc\u00df",
		"eight bits\x9b2J, \u009b2J":    "eight bits2J, 2J",
		"\u202egnp.exe":                 "gnp.exe",
	} {
		if got := Coloured(in); got != want {
			t.Errorf("%q becomes %q, not %q", in, got, want)
		}
	}
}

func FuzzText(f *testing.F) {
	f.Add("\x1b[1;31mred\x1b[0m \x1b[2J\u009b\xff")
	f.Fuzz(func(t *testing.T, in string) {
		if out := Text(in); !utf8.ValidString(out) || strings.ContainsFunc(out, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("%q lets something through: %q", in, out)
		}
	})
}

func FuzzColoured(f *testing.F) {
	f.Add("\x1b[1;31mred\x1b[0m \x1b[2J\u009b\xff")
	f.Fuzz(func(t *testing.T, in string) {
		out := Coloured(in)
		for before, after, ok := strings.Cut(out, "\x1b"); ok; before, after, ok = strings.Cut(after, "\x1b") {
			n := colour("\x1b" + after)
			if n == 0 {
				t.Fatalf("%q lets an escape through: %q after %q", in, out, before)
			}
			after = after[n-1:]
		}
		rest := strings.ReplaceAll(strings.ReplaceAll(out, "\x1b", ""), "\t", "")
		if !utf8.ValidString(out) || strings.ContainsFunc(rest, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("%q lets something through: %q", in, out)
		}
	})
}
