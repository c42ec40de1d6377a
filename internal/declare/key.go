package declare

import (
	"fmt"
	"strconv"
	"strings"
)

// childKey names a key below another one in messages and in Declared.KeyPos.
func childKey(parent, name string) string {
	name = bareOrQuoted(name)
	if parent == "" {
		return name
	}
	return parent + "." + name
}

// indexKey names an item of a list; items count from 0.
func indexKey(parent string, i int) string {
	return parent + "[" + strconv.Itoa(i) + "]"
}

// bareOrQuoted quotes a key that would not be read as one word.
func bareOrQuoted(name string) string {
	odd := func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`"':[]`, r) }
	if name != "" && !strings.ContainsFunc(name, odd) {
		return short(name)
	}
	return strconv.QuoteToASCII(short(name))
}

// shortLen is how much of a user's text a message repeats.
const shortLen = 80

// short cuts a long text.
func short(s string) string {
	if len(s) <= shortLen {
		return s
	}
	return strings.ToValidUTF8(s[:shortLen], "") + "..."
}

// shortError is err with every mention of a long text cut.
func shortError(err error, text string) error {
	if len(text) <= shortLen {
		return err
	}
	return fmt.Errorf("%s", strings.ReplaceAll(err.Error(), strconv.Quote(text), strconv.Quote(short(text))))
}
