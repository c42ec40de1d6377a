package declare

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/berth-containers/berth/container"
)

// Evaluated is a declaration in Nix that somebody has evaluated.
type Evaluated struct {
	// Tree is what it says, as JSON: a set is {"m": [{"k": NAME, "p": [FILE, LINE,
	// COLUMN] or null, "v": TREE}]}, a list {"l": [TREE]}, a derivation that is to
	// be built {"d": PATH}, a function {"f": true}, and anything else {"v": VALUE}.
	Tree []byte
	// File is the absolute path of the declaration; empty for a flake from
	// elsewhere, of which relative paths start in the working directory.
	File string
	// Places below Stored are those of files below Dir, unless it is empty.
	Stored, Dir string
}

// maxTree is the largest tree in bytes.
const maxTree = 16 << 20

// node is one value of a tree.
type node struct {
	Set        *[]nodeEntry    `json:"m"`
	List       *[]node         `json:"l"`
	Derivation string          `json:"d"`
	Function   bool            `json:"f"`
	Value      json.RawMessage `json:"v"`
}

type nodeEntry struct {
	Name  string            `json:"k"`
	Place []json.RawMessage `json:"p"`
	Value node              `json:"v"`
}

// parseNix is parse for what comes of a declaration in Nix, which is called
// name.
func (p *parser) parseNix(name string, e Evaluated) *Declaration {
	d := &Declaration{Path: e.File, Owner: container.OwnerFlake(name)}
	dir, err := filepath.Abs(".")
	if e.File != "" {
		d.Owner, dir = container.OwnerFile(e.File), filepath.Dir(e.File)
	}
	var root node
	switch {
	case err != nil:
	case len(e.Tree) > maxTree:
		err = errors.New("the declaration is larger than 16 MiB")
	default:
		err = json.Unmarshal(e.Tree, &root)
	}
	if err != nil {
		p.report(&Problem{Pos: p.file, Err: fmt.Errorf("what Nix says of it cannot be read: %w", err)})
		return d
	}
	t := &treeReader{Evaluated: e, file: p.file}
	if v := t.value(root, p.file); t.values <= maxValues {
		p.top(d, &reader{dir: dir, report: p.report}, v)
	} else {
		p.report(&Problem{Pos: p.file, Err: fmt.Errorf("more than %d values", maxValues), Hint: "split it into several files"})
	}
	return d
}

// treeReader turns nodes into values.
type treeReader struct {
	Evaluated
	file   Position
	values int
}

// value is that of a node, at or below a position.
func (t *treeReader) value(n node, pos Position) *value {
	t.values++
	v := &value{pos: pos}
	switch {
	case t.values > maxValues:
		v.kind = kindBroken
	case n.Set != nil:
		v.kind = kindMap
		v.entries = t.entries(*n.Set, pos)
	case n.List != nil:
		v.kind = kindList
		for _, item := range *n.List {
			v.list = append(v.list, t.value(item, pos))
		}
	case n.Derivation != "":
		v.kind, v.text = kindText, n.Derivation
	case n.Function:
		v.kind, v.broken = kindBroken, errors.New("a function cannot stand here")
	default:
		v.kind, v.text = scalar(n.Value)
	}
	return v
}

// entries are those of a set. The system of a module takes the place of the
// module, unless there is something else that the guest comes from: that is
// told of then.
func (t *treeReader) entries(set []nodeEntry, pos Position) []entry {
	var out []entry
	others := false
	for _, e := range set {
		others = others || e.Name != "config" && indexOf(sources(), e.Name) >= 0
	}
	for _, e := range set {
		at := t.place(e.Place, pos)
		if e.Name == "config" && e.Value.Derivation != "" && !others {
			e.Name = "system"
		}
		out = append(out, entry{e.Name, at, t.value(e.Value, at)})
	}
	return out
}

// place is where a name stands, or the position of what it is in.
func (t *treeReader) place(p []json.RawMessage, in Position) Position {
	var file string
	at := t.file
	if len(p) != 3 || json.Unmarshal(p[0], &file) != nil || json.Unmarshal(p[1], &at.Line) != nil || json.Unmarshal(p[2], &at.Column) != nil {
		return in
	}
	if rest, below := strings.CutPrefix(file, t.Stored+"/"); below && t.Stored != "" {
		file = rest
		if t.Dir != "" {
			file = filepath.Join(t.Dir, rest)
		}
	}
	if file != t.File { // otherwise it is called as the user called it
		at.File = file
	}
	return at
}

// scalar is a value of JSON that is neither a list nor a map.
func scalar(b json.RawMessage) (kind, string) {
	var v any
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if len(b) == 0 || d.Decode(&v) != nil {
		return kindBroken, ""
	}
	switch v := v.(type) {
	case nil:
		return kindNothing, ""
	case string:
		return kindText, v
	case bool:
		return kindBoolean, fmt.Sprint(v)
	case json.Number:
		if strings.ContainsAny(v.String(), ".eE") {
			return kindNumber, v.String()
		}
		return kindInteger, v.String()
	}
	return kindBroken, ""
}
