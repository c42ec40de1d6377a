package declare

import (
	"slices"
	"strings"
)

// scalarKind is the kind of a plain scalar by the core schema of YAML 1.2
// (section 10.3.2 of its specification): "no" and "0o7" are not what YAML 1.1
// made of them, a date is text.
func scalarKind(s string) kind {
	switch {
	case slices.Contains([]string{"", "~", "null", "Null", "NULL"}, s):
		return kindNothing
	case slices.Contains([]string{"true", "True", "TRUE", "false", "False", "FALSE"}, s):
		return kindBoolean
	case isInteger(s):
		return kindInteger
	case isNumber(s):
		return kindNumber
	}
	return kindText
}

func isInteger(s string) bool {
	if digits, ok := strings.CutPrefix(s, "0o"); ok {
		return allOf(digits, "01234567")
	}
	if digits, ok := strings.CutPrefix(s, "0x"); ok {
		return allOf(digits, "0123456789abcdefABCDEF")
	}
	return allOf(unsigned(s), "0123456789")
}

func isNumber(s string) bool {
	s = unsigned(s)
	if slices.Contains([]string{".inf", ".Inf", ".INF", ".nan", ".NaN", ".NAN"}, s) {
		return true
	}
	mantissa, exponent, ok := strings.Cut(strings.ToLower(s), "e")
	if ok && !allOf(unsigned(exponent), "0123456789") {
		return false
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	return allOf(whole+fraction, "0123456789")
}

func unsigned(s string) string {
	if s != "" && (s[0] == '-' || s[0] == '+') {
		return s[1:]
	}
	return s
}

// allOf reports whether s is not empty and has only characters of set.
func allOf(s, set string) bool {
	return s != "" && strings.Trim(s, set) == ""
}
