package declare

import (
	"strings"

	"github.com/berth-containers/berth/internal/declare/conf"
)

// confFlag is an option of systemd-nspawn for which a spec has a key, so that
// it is understood, and not only passed on.
type confFlag struct {
	long  string // without dashes
	short string // with the dash, or empty
	bare  bool   // it takes no value
	read  func(c *confReader, value string, pos Position)
}

// confFlags are tried in their order.
func confFlags() []confFlag {
	return []confFlag{
		{"bind", "", false, func(c *confReader, v string, pos Position) { c.bind(v, false, pos) }},
		{"bind-ro", "", false, func(c *confReader, v string, pos Position) { c.bind(v, true, pos) }},
		{"tmpfs", "", false, func(c *confReader, v string, pos Position) { c.add("tmpfs", textAt(v, pos)) }},
		{"capability", "", false, func(c *confReader, v string, pos Position) { c.words("additionalCapabilities", v, pos) }},
		{"drop-capability", "", false, func(c *confReader, v string, pos Position) { c.words("dropCapabilities", v, pos) }},
		{"system-call-filter", "", false, func(c *confReader, v string, pos Position) { c.words("systemCallFilter", v, pos) }},
		{"setenv", "-E", false, func(c *confReader, v string, pos Position) {
			name, text, _ := strings.Cut(v, "=")
			c.put("environment", name, textAt(text, pos))
		}},
		{"load-credential", "", false, func(c *confReader, v string, pos Position) {
			id, file, _ := strings.Cut(v, ":")
			c.add("credentials", &value{kind: kindMap, pos: pos, entries: []entry{{"id", pos, textAt(id, pos)}, {"path", pos, textAt(file, pos)}}})
		}},
		{"private-users", "", false, (*confReader).users},
		{"", "-U", true, func(c *confReader, _ string, pos Position) { c.users("pick", pos) }},
		{"private-users-ownership", "", false, (*confReader).ignore},
		{"private-users-chown", "", true, (*confReader).ignore},
		{"private-network", "", true, func(c *confReader, _ string, pos Position) { c.root.set("privateNetwork", boolAt(true, pos)) }},
		{"network-namespace-path", "", false, func(c *confReader, v string, pos Position) { c.root.set("networkNamespace", textAt(v, pos)) }},
		{"network-bridge", "", false, func(c *confReader, v string, pos Position) { c.root.set("hostBridge", textAt(v, pos)) }},
		{"network-zone", "", false, func(c *confReader, v string, pos Position) { c.root.set("zone", textAt(v, pos)) }},
		{"network-interface", "", false, func(c *confReader, v string, pos Position) { c.add("interfaces", textAt(v, pos)) }},
		{"network-macvlan", "", false, func(c *confReader, v string, pos Position) { c.add("macvlans", textAt(v, pos)) }},
		{"port", "-p", false, (*confReader).port},
		{"ephemeral", "-x", true, func(c *confReader, _ string, pos Position) { c.root.set("ephemeral", boolAt(true, pos)) }},
		{"link-journal", "", false, (*confReader).ignore}, // berth reads guests' journals where they are
		{"", "-j", true, (*confReader).ignore},
	}
}

// ignore is for what berth sees to by itself.
func (c *confReader) ignore(string, Position) {}

// flags are words parted by spaces, as the shell of the container's unit
// parts them.
func (c *confReader) flags(a conf.Assignment) {
	pos := c.at(a)
	for words := strings.Fields(a.Value); len(words) > 0; {
		words = words[c.flag(words, pos):]
	}
}

// flag reads the first of words and returns how many it took.
func (c *confReader) flag(words []string, pos Position) int {
	name, v, given := strings.Cut(words[0], "=")
	for _, f := range confFlags() {
		if !(f.long != "" && name == "--"+f.long || f.short != "" && name == f.short) {
			continue
		}
		switch {
		case f.bare || given:
			f.read(c, v, pos)
			return 1
		case len(words) > 1:
			f.read(c, words[1], pos)
			return 2
		}
		c.problem(pos, "extraFlags", "", "%s needs a value", name)
		return 1
	}
	c.add("extraFlags", textAt(words[0], pos))
	return 1
}

// words are names parted by commas or spaces.
func (c *confReader) words(key, list string, pos Position) {
	for _, word := range strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' }) {
		c.add(key, textAt(word, pos))
	}
}

// bind is SOURCE[:TARGET[:OPTIONS]], where a backslash keeps a colon from
// parting. Owners are mapped whatever the options say.
func (c *confReader) bind(word string, readOnly bool, pos Position) {
	fields := splitColons(word)
	source, target := fields[0], fields[0]
	if len(fields) > 1 {
		target = fields[1]
	}
	if len(fields) > 3 || strings.HasPrefix(source, "+") || source == "" {
		c.problem(pos, "bindMounts", "name an absolute path of the host, and one of the guest", "%q is no bind mount that berth can make", short(word))
		return
	}
	for _, option := range strings.Split(strings.Join(fields[min(2, len(fields)):], ""), ",") {
		switch option {
		case "", "rbind", "norbind", "idmap", "rootidmap", "noidmap":
		default:
			c.problem(pos, "bindMounts", "", "the option %q of %q is not known", short(option), short(word))
		}
	}
	c.put("bindMounts", clean(target), &value{kind: kindMap, pos: pos, entries: []entry{
		{"hostPath", pos, textAt(source, pos)}, {"isReadOnly", pos, boolAt(readOnly, pos)},
	}})
}

// clean takes a slash off the end, which NixOS modules often leave there.
func clean(path string) string {
	if len(path) > 1 {
		return strings.TrimRight(path, "/")
	}
	return path
}

// splitColons parts a word at its colons, but for those behind a backslash.
func splitColons(word string) []string {
	fields := []string{""}
	last := &fields[0]
	for i := 0; i < len(word); i++ {
		switch {
		case word[i] == '\\' && i+1 < len(word):
			i++
			*last += word[i : i+1]
		case word[i] == ':':
			fields = append(fields, "")
			last = &fields[len(fields)-1]
		default:
			*last += word[i : i+1]
		}
	}
	return fields
}
