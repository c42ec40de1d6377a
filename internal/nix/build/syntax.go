package build

import "strings"

// text is a string as Nix reads it.
func text(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, `${`, `\${`, "\n", `\n`, "\r", `\r`, "\t", `\t`).Replace(s) + `"`
}

// list is a list of expressions, each of which is simple.
func list(items []string) string { return "[ " + strings.Join(items, " ") + " ]" }

// hasDefinitions reports whether s, which is to be a module, is what stands
// inside of one's braces: `a.b = 1;`. An expression never ends with a
// semicolon.
func hasDefinitions(s string) bool {
	last := byte(0)
	for len(s) > 0 {
		n := 1
		switch {
		case s[0] == '#':
			n = skip(s, "\n", 1)
		case strings.HasPrefix(s, "/*"):
			n = skip(s, "*/", 2)
		case s[0] == '"':
			n, last = quoted(s), '"'
		case strings.HasPrefix(s, "''"):
			n, last = indented(s), '\''
		case !strings.ContainsRune(" \t\r\n", rune(s[0])):
			last = s[0]
		}
		s = s[n:]
	}
	return last == ';'
}

// skip is how far it is to behind end, which is looked for from the offset
// from on.
func skip(s, end string, from int) int {
	i := strings.Index(s[from:], end)
	if i < 0 {
		return len(s)
	}
	return from + i + len(end)
}

// quoted is the length of a string in double quotes. One within ${ } counts as
// the end of one string and the begin of another, which comes to the same.
func quoted(s string) int {
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(s)
}

// indented is the length of a string in two single quotes, in which a third
// one, $ or \ makes two of them something else.
func indented(s string) int {
	for i := 2; i < len(s); i++ {
		if !strings.HasPrefix(s[i:], "''") {
			continue
		}
		if i+2 == len(s) || !strings.ContainsRune(`'$\`, rune(s[i+2])) {
			return i + 2
		}
		i += 2
		if s[i] == '\\' {
			i++
		}
	}
	return len(s)
}
