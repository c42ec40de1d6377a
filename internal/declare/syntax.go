package declare

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// maxFile is the largest declaration in bytes.
const maxFile = 1 << 20

// readText reads a whole declaration, without a byte order mark.
func readText(r io.Reader, file Position) ([]byte, *Problem) {
	b, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err != nil {
		return nil, &Problem{Pos: file, Err: plainError(err)}
	}
	if len(b) > maxFile {
		return nil, &Problem{Pos: file, Hint: "split it into several files",
			Err: fmt.Errorf("the file is larger than 1 MiB")}
	}
	b = bytes.TrimPrefix(b, []byte("\ufeff"))
	if i := firstOdd(b); i >= 0 {
		file.Line, file.Column = lineColumn(b, i)
		return nil, oddCharacter(b[i:], file)
	}
	return b, nil
}

// firstOdd is the index of the first byte that is not UTF-8 or that YAML does
// not allow, or -1.
func firstOdd(b []byte) int {
	for i := 0; i < len(b); {
		r, n := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && n == 1 || r < ' ' && !strings.ContainsRune("\t\n\r", r) ||
			r >= 0x7f && r < 0xa0 && r != 0x85 || r == 0xfffe || r == 0xffff || r == 0xfeff {
			return i
		}
		i += n
	}
	return -1
}

func oddCharacter(b []byte, pos Position) *Problem {
	r, n := utf8.DecodeRune(b)
	if r == utf8.RuneError && n == 1 {
		return &Problem{Pos: pos, Hint: "save the file as UTF-8", Err: fmt.Errorf("the byte 0x%02x is not UTF-8 text", b[0])}
	}
	return &Problem{Pos: pos, Hint: `in double quotes, such a character can be written as an escape`,
		Err: fmt.Errorf("the character %U is not allowed here", r)}
}

func lineColumn(b []byte, i int) (line, column int) {
	before := b[:i]
	start := bytes.LastIndexByte(before, '\n') + 1
	return bytes.Count(before, []byte("\n")) + 1, utf8.RuneCount(before[start:]) + 1
}

// readNode reads the one document in text; nil where there is none.
func readNode(text []byte, file Position) (*yaml.Node, *Problem) {
	loader, err := yaml.NewLoader(bytes.NewReader(text))
	if err != nil {
		return nil, &Problem{Pos: file, Err: err}
	}
	var docs [2]yaml.Node
	for i := range docs {
		switch err := loader.Load(&docs[i]); {
		case errors.Is(err, io.EOF) && i == 0:
			return nil, nil
		case errors.Is(err, io.EOF):
			return docs[0].Content[0], nil
		case err != nil:
			return nil, syntaxProblem(err, text, file)
		}
	}
	file.Line, file.Column = docs[1].Line, docs[1].Column
	return nil, &Problem{Pos: file, Hint: "write one file for each, in one directory",
		Err: fmt.Errorf("a second document starts here, but a declaration has only one")}
}

// syntaxWord says what a message of the YAML library means, and what to do.
type syntaxWord struct {
	library, err, hint string
	open               string // instead of err, with the line and column of what is open
}

// syntaxWords are tried in their order.
func syntaxWords() []syntaxWord {
	return []syntaxWord{
		{"mapping values are not allowed", "a key is not expected here", `check the indentation; put text that has ": " in it in quotes`, ""},
		{"cannot start any token", "a value cannot start with this character", "put the text in quotes", ""},
		{"did not find expected key", "a key is expected here", "check the indentation", ""},
		{"did not find expected '-'", `another item of the list is expected here, with "- " in front`, "check the indentation", ""},
		{"did not find expected ',' or ']'", "the list is not closed", "", `the list that starts at %d:%d is not closed: "," or "]" is expected here`},
		{"did not find expected ',' or '}'", "the map is not closed", "", `the map that starts at %d:%d is not closed: "," or "}" is expected here`},
		{"unexpected end of stream", "the quotes are not closed", "", "the quotes that open at %d:%d are not closed"},
		{"unexpected document indicator", "the quotes are not closed", "", "the quotes that open at %d:%d are not closed"},
		{"could not find expected ':'", `a ":" is missing after the key`, "", ""},
		{"unknown escape character", "this escape is not known", `write \\ for a backslash, or use single quotes`, ""},
		{"invalid Unicode character escape", "this escape is no character", "write the character itself", ""},
		{"did not find expected hexdecimal", "this escape is not complete", "", ""},
		{"did not find expected node content", "a value is expected here", "", ""},
		{"did not find expected <document start>", "nothing more is expected here", "check the indentation and the quotes", ""},
		{"found a tab character", "a tab cannot indent", "use spaces", ""},
		{"exceeded max depth", "nested far too deep", "", ""},
		{"incompatible YAML document", "this version of YAML is not known", "leave the line out", ""},
	}
}

func syntaxProblem(err error, text []byte, file Position) *Problem {
	var load *yaml.LoadError
	if !errors.As(err, &load) {
		return &Problem{Pos: file, Err: fmt.Errorf("this is not well-formed YAML: %w", err)}
	}
	p := &Problem{Pos: file}
	p.Pos.Line, p.Pos.Column = load.Mark.Line, load.Mark.Column
	if atTab(text, p.Pos) {
		p.Err, p.Hint = errors.New("a tab cannot indent"), "use spaces"
		return p
	}
	if name, ok := strings.CutPrefix(load.Message, "unknown anchor '"); ok {
		name, _, _ = strings.Cut(name, "'")
		p.Err, p.Hint = fmt.Errorf("the alias *%s has no anchor &%s before it", short(name), short(name)), "put text that starts with * in quotes"
		return p
	}
	for _, w := range syntaxWords() {
		if !strings.Contains(load.Message, w.library) {
			continue
		}
		p.Err, p.Hint = errors.New(w.err), w.hint
		if w.open != "" && load.ContextMark.Line > 0 {
			p.Err = fmt.Errorf(w.open, load.ContextMark.Line, load.ContextMark.Column)
		}
		return p
	}
	p.Err = fmt.Errorf("this is not well-formed YAML: %s", short(load.Message))
	return p
}

// atTab reports whether a position is at a tab that only white space precedes.
func atTab(text []byte, pos Position) bool {
	lines := bytes.SplitN(text, []byte("\n"), pos.Line+1)
	if pos.Line < 1 || pos.Line > len(lines) {
		return false
	}
	line := lines[pos.Line-1]
	return bytes.HasPrefix(bytes.TrimLeft(line, " "), []byte("\t")) && pos.Column <= len(line)-len(bytes.TrimLeft(line, " \t"))+1
}
