// Package plain makes text that strangers wrote, such as guests, archives and
// programs, fit to be shown on a terminal or to stand within a line.
package plain

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// escape begins the sequences that make a terminal do something.
const escape = 0x1b

// noColour ends all that sequences of colours have set.
const noColour = "\x1b[0m"

// Text is s without everything that does not print: control characters, their
// sequences, characters that change the direction of writing, line ends, and
// bytes that are no UTF-8.
func Text(s string) string {
	var b strings.Builder
	for len(s) > 0 {
		if s[0] == escape {
			s = s[sequence(s):]
			continue
		}
		s = s[printed(&b, s, false):]
	}
	return b.String()
}

// Coloured is s like Text, but with tabs, and with the sequences that set
// colours. Of other sequences it takes the escape only, so that one sees that
// there was something. Colours end with s: what is shown after it could be
// hidden by them.
func Coloured(s string) string {
	var b strings.Builder
	set := false
	for len(s) > 0 {
		if n := colour(s); n > 0 {
			b.WriteString(s[:n])
			set = s[:n] != noColour && s[:n] != "\x1b[m"
			s = s[n:]
			continue
		}
		s = s[printed(&b, s, true):]
	}
	if set {
		b.WriteString(noColour)
	}
	return b.String()
}

// printed adds the first character of s to b if it is to be shown, and returns
// its length.
func printed(b *strings.Builder, s string, tabs bool) int {
	r, n := utf8.DecodeRuneInString(s)
	if unicode.IsPrint(r) && (r != utf8.RuneError || n > 1) || tabs && r == '\t' {
		b.WriteString(s[:n])
	}
	return n
}

// sequence is the length of the escape sequence that s begins with, as far as
// it is ESC, [, numbers, and a letter.
func sequence(s string) int {
	i := 1
	for i < len(s) && (s[i] == '[' || s[i] == ';' || s[i] >= '0' && s[i] <= '9') {
		i++
	}
	if i < len(s) && s[i] > ' ' && s[i] < 0x7f {
		i++
	}
	return i
}

// colour is the length of a sequence ESC [ NUMBERS m at the beginning of s, or
// 0.
func colour(s string) int {
	if len(s) < 3 || s[0] != escape || s[1] != '[' {
		return 0
	}
	for i := 2; i < len(s); i++ {
		switch c := s[i]; {
		case c == 'm':
			return i + 1
		case c != ';' && (c < '0' || c > '9'):
			return 0
		}
	}
	return 0
}
