package declare

import (
	"fmt"
	"slices"

	"go.yaml.in/yaml/v4"
)

// Bounds on what a declaration may hold, so that a small file cannot make
// much work.
const (
	maxValues = 50_000 // with every alias followed
	maxDepth  = 32
)

// composer turns YAML nodes into values: it follows aliases, merges, and sees
// to it that no key is given twice.
type composer struct {
	file    Position // line 0
	flat    bool     // the text is so short that lines and columns say nothing
	report  func(*Problem)
	values  int
	open    []*yaml.Node // from the root to where we are, against circles
	stopped bool         // a bound was hit: nothing more is read
}

func (c *composer) position(n *yaml.Node) Position {
	p := c.file
	if c.flat {
		return p
	}
	p.Line, p.Column = n.Line, n.Column
	return p
}

func (c *composer) problem(n *yaml.Node, key, hint, format string, args ...any) {
	c.report(&Problem{Pos: c.position(n), Key: key, Hint: hint, Err: fmt.Errorf(format, args...)})
}

// value is broken, without saying why, if n is not usable: that has been
// reported then.
func (c *composer) value(n *yaml.Node, key string) *value {
	if !c.enter(n, key) {
		return &value{kind: kindBroken, pos: c.position(n)}
	}
	defer func() { c.open = c.open[:len(c.open)-1] }()
	v := &value{pos: c.position(n)}
	switch n.Kind {
	case yaml.AliasNode:
		return c.value(n.Alias, key)
	case yaml.SequenceNode:
		v.kind = kindList
		v.list = c.items(n, key)
	case yaml.MappingNode:
		v.kind = kindMap
		v.entries = c.entries(n, key)
	default:
		v.kind, v.text = nodeKind(n), n.Value
	}
	if !c.tagFits(n, v.kind) {
		c.problem(n, key, "leave the tag out", "the tag %s is not known here", short(n.Tag))
		v.kind = kindBroken
	}
	return v
}

// enter checks the bounds before n is read.
func (c *composer) enter(n *yaml.Node, key string) bool {
	if c.stopped {
		return false
	}
	c.values++
	switch {
	case slices.Contains(c.open, n):
		c.problem(n, key, "", "the alias *%s stands inside of what it repeats", short(n.Anchor))
	case len(c.open) == maxDepth:
		c.problem(n, "", "", "nested more than %d deep", maxDepth)
	case c.values > maxValues:
		c.problem(n, "", "split it into several files, or use fewer aliases", "more than %d values", maxValues)
	default:
		c.open = append(c.open, n)
		return true
	}
	c.stopped = true
	return false
}

func nodeKind(n *yaml.Node) kind {
	const quoted = yaml.SingleQuotedStyle | yaml.DoubleQuotedStyle | yaml.LiteralStyle | yaml.FoldedStyle
	if n.Style&quoted != 0 || n.Style&yaml.TaggedStyle != 0 && n.ShortTag() == "!!str" {
		return kindText
	}
	return scalarKind(n.Value)
}

// tagFits reports whether a tag that was written says only what is so anyway.
func (c *composer) tagFits(n *yaml.Node, k kind) bool {
	if n.Style&yaml.TaggedStyle == 0 {
		return true
	}
	fits := map[kind]string{kindText: "!!str", kindBoolean: "!!bool", kindInteger: "!!int", kindNumber: "!!float",
		kindNothing: "!!null", kindList: "!!seq", kindMap: "!!map"}
	return n.ShortTag() == fits[k]
}

func (c *composer) items(n *yaml.Node, key string) []*value {
	var list []*value
	for i, item := range n.Content {
		list = append(list, c.value(item, indexKey(key, i)))
	}
	return list
}

// entries are those of the map itself, then those it merges.
func (c *composer) entries(n *yaml.Node, key string) []entry {
	var own, merged []entry
	lines := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, val := n.Content[i], n.Content[i+1]
		if k.Kind == yaml.ScalarNode && k.ShortTag() == "!!merge" {
			merged = append(merged, c.merge(val, key)...)
			continue
		}
		name, ok := c.key(k, key)
		if !ok {
			continue
		}
		if line, twice := lines[name]; twice {
			c.problem(k, childKey(key, name), "keep one of the two", "this key is already given in line %d", line)
			continue
		}
		lines[name] = k.Line
		own = append(own, entry{name, c.position(k), c.value(val, childKey(key, name))})
	}
	return withMerged(own, merged, lines)
}

// key is the text of a map's key.
func (c *composer) key(n *yaml.Node, parent string) (string, bool) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n.Kind != yaml.ScalarNode {
		c.problem(n, parent, "", "a key must be text, not %v", map[yaml.Kind]kind{yaml.SequenceNode: kindList, yaml.MappingNode: kindMap}[n.Kind])
		return "", false
	}
	k := nodeKind(n)
	switch {
	case k == kindNothing:
		c.problem(n, parent, "", "a key is missing")
	case !c.tagFits(n, k):
		c.problem(n, parent, "leave the tag out", "the tag %s is not known here", short(n.Tag))
	default:
		return n.Value, true
	}
	return "", false
}

// merge are the entries of the map, or of the list of maps, behind a "<<".
func (c *composer) merge(n *yaml.Node, key string) []entry {
	v := c.value(n, childKey(key, "<<"))
	switch {
	case v.kind == kindBroken:
		return nil
	case v.kind == kindMap:
		return v.entries
	case v.kind == kindList:
		var all []entry
		for _, m := range v.list {
			if m.kind != kindMap && m.kind != kindBroken {
				c.problem(n, childKey(key, "<<"), "", "only maps can be merged, not %v", m.kind)
			}
			all = append(all, m.entries...)
		}
		return all
	}
	c.problem(n, childKey(key, "<<"), "", "only maps can be merged, not %v", v.kind)
	return nil
}

// withMerged adds those of merged that are not given already.
func withMerged(own, merged []entry, given map[string]int) []entry {
	for _, e := range merged {
		if _, ok := given[e.key]; !ok {
			given[e.key] = e.pos.Line
			own = append(own, e)
		}
	}
	return own
}
