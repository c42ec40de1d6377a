package conf

import "strings"

// parser reads a file character by character. Each of its states takes one and
// gives the next state.
type parser struct {
	state      state
	line       int
	key, value strings.Builder
	keyLine    int
	spaces     string // read, and part of the value if more comes
	quoted     bool   // a quote is open
	out        []Assignment
}

type state func(p *parser, r rune) state

// The zero parser begins before a key.
func (p *parser) begin() state {
	p.key.Reset()
	p.value.Reset()
	p.spaces, p.quoted = "", false
	return beforeKey
}

func isSpace(r rune) bool { return strings.ContainsRune(" \t\r\n", r) }

func beforeKey(p *parser, r rune) state {
	switch {
	case isSpace(r):
		return beforeKey
	case r == '#' || r == ';':
		return inComment
	}
	p.keyLine = p.line
	p.key.WriteRune(r)
	return inKey
}

func inKey(p *parser, r rune) state {
	switch r {
	case '\n':
		return p.begin()
	case '=':
		return beforeValue
	}
	p.key.WriteRune(r)
	return inKey
}

// beforeValue is also where a quoted part of a value has ended.
func beforeValue(p *parser, r rune) state {
	switch {
	case r == '\n':
		return p.assign()
	case r == '\'':
		p.quoted = true
		return inSingleQuotes
	case r == '"':
		p.quoted = true
		return inDoubleQuotes
	case r == '\\':
		return afterBackslash
	case isSpace(r):
		return beforeValue
	}
	p.value.WriteRune(r)
	return inValue
}

func inValue(p *parser, r rune) state {
	switch {
	case r == '\n':
		return p.assign()
	case r == '\\':
		p.write("")
		return afterBackslash
	case isSpace(r):
		p.spaces += string(r)
		return inValue
	}
	p.write(string(r))
	return inValue
}

// write adds to the value what does not end it.
func (p *parser) write(s string) {
	p.value.WriteString(p.spaces + s)
	p.spaces = ""
}

// afterBackslash takes any character as it is, and none of a line break.
func afterBackslash(p *parser, r rune) state {
	if r != '\n' {
		p.write(string(r))
	}
	return inValue
}

func inSingleQuotes(p *parser, r rune) state {
	if r == '\'' {
		p.quoted = false
		return beforeValue
	}
	p.value.WriteRune(r)
	return inSingleQuotes
}

func inDoubleQuotes(p *parser, r rune) state {
	switch r {
	case '"':
		p.quoted = false
		return beforeValue
	case '\\':
		return afterQuotedBackslash
	}
	p.value.WriteRune(r)
	return inDoubleQuotes
}

// afterQuotedBackslash: in double quotes a backslash is one, except before what
// it is there for.
func afterQuotedBackslash(p *parser, r rune) state {
	if !strings.ContainsRune("\"\\`$\n", r) {
		p.value.WriteRune('\\')
	}
	if r != '\n' {
		p.value.WriteRune(r)
	}
	return inDoubleQuotes
}

func inComment(p *parser, r rune) state {
	switch r {
	case '\n':
		return p.begin()
	case '\\':
		return afterCommentBackslash
	}
	return inComment
}

func afterCommentBackslash(*parser, rune) state { return inComment }

// assign ends a line that has a key, which counts if it can name a variable.
func (p *parser) assign() state {
	if key := strings.TrimSpace(p.key.String()); isVariable(key) {
		p.out = append(p.out, Assignment{Key: key, Value: p.value.String(), Line: p.keyLine})
	}
	return p.begin()
}
