package declare

import (
	"fmt"
	"io"
	"strings"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/declare/conf"
)

// ParseConf reads a file NAME.conf of nixos-container(8), which is at path, as
// the declaration of one container; "" is a file that is yet to be written,
// whose lines nobody has seen. system is what the guest boots where the
// file does not say it. What is wrong with the file is a *Problems.
func ParseConf(r io.Reader, path string, n container.Name, system string) (Declared, error) {
	p := &parser{path: path, file: Position{File: path}}
	d := p.conf(r, n, system)
	return d, problemsOf(p.problems)
}

func (p *parser) conf(r io.Reader, n container.Name, system string) Declared {
	d := Declared{Name: n, Pos: p.file}
	text, err := io.ReadAll(io.LimitReader(r, conf.MaxSize+1))
	if err != nil {
		p.report(&Problem{Pos: p.file, Err: plainError(err)})
		return d
	}
	all, err := conf.Parse(text)
	if err != nil {
		pos := p.file
		if syntax, ok := err.(*conf.SyntaxError); ok {
			pos.Line, pos.Column, err = syntax.Line, 1, syntax.Err
		}
		p.report(&Problem{Pos: pos, Err: err})
		return d
	}
	c := &confReader{file: p.file, report: p.report, root: &value{kind: kindMap, pos: p.file}}
	c.read(all, system)
	keys := &reader{dir: "/", report: p.report}
	d.Spec, _ = keys.spec(path{}, c.root, p.file, confDefaults())
	d.KeyPos = keys.keys
	return d
}

// confDefaults are what a container is of which its file says nothing: as
// nixos-container has it, root in the guest is root on the host.
func confDefaults() container.Spec {
	s := container.DefaultSpec()
	s.PrivateUsers = container.PrivateUsers{Mode: container.UsersNo}
	return s
}

// confReader turns assignments into the value that a declaration in YAML would
// have for the same container.
type confReader struct {
	file   Position
	report func(*Problem)
	root   *value
}

// read goes through the keys of the file in the order in which they count.
func (c *confReader) read(all []conf.Assignment, system string) {
	given := map[string]conf.Assignment{}
	for _, a := range all {
		if a.Value != "" {
			given[a.Key] = a
		}
	}
	c.root.set("system", textAt(system, c.file))
	for key, name := range map[string]string{
		conf.SystemPath: "system", conf.HostBridge: "hostBridge", conf.HostAddress: "hostAddress", conf.LocalAddress: "localAddress",
		conf.HostAddress6: "hostAddress6", conf.LocalAddress6: "localAddress6", conf.LocalMACAddress: "localMacAddress",
		conf.NetworkNamespace: "networkNamespace", conf.StoreAccess: "storeAccess", conf.NixInGuest: "nixInGuest",
	} {
		if a, ok := given[key]; ok {
			c.root.set(name, textAt(a.Value, c.at(a)))
		}
	}
	for key, name := range map[string]string{conf.Interfaces: "interfaces", conf.Macvlans: "macvlans"} {
		a := given[key]
		for _, word := range strings.Fields(a.Value) {
			c.add(name, textAt(word, c.at(a)))
		}
	}
	if a, ok := given[conf.AutoStart]; ok {
		c.root.set("autoStart", boolAt(conf.IsTrue(a.Value), c.at(a)))
	}
	if a, ok := given[conf.PrivateUsers]; ok {
		c.users(a.Value, c.at(a))
	}
	c.ports(given[conf.HostPort])
	c.flags(given[conf.ExtraFlags])
	c.network(given[conf.PrivateNetwork])
	if a, ok := given[conf.CopyResolvConf]; ok && a.Value != "1" && c.root.member("privateNetwork") == nil { // with a network of its own it never gets that
		c.add("extraFlags", textAt("--resolv-conf=off", c.at(a)))
	}
}

// at is where an assignment is.
func (c *confReader) at(a conf.Assignment) Position {
	p := c.file
	if p.File != "" {
		p.Line, p.Column = a.Line, 1
	}
	return p
}

func (c *confReader) problem(pos Position, key, hint, format string, args ...any) {
	c.report(&Problem{Pos: pos, Key: key, Hint: hint, Err: fmt.Errorf(format, args...)})
}

// add puts one more item into a list.
func (c *confReader) add(name string, item *value) {
	list := c.root.member(name)
	if list == nil {
		list = &value{kind: kindList, pos: item.pos}
		c.root.set(name, list)
	}
	list.list = append(list.list, item)
}

// put puts one more entry into a map.
func (c *confReader) put(name, key string, item *value) {
	m := c.root.member(name)
	if m == nil {
		m = &value{kind: kindMap, pos: item.pos}
		c.root.set(name, m)
	}
	m.set(key, item)
}

// textAt is text, whatever it would be in YAML.
func textAt(s string, pos Position) *value { return &value{kind: kindText, text: s, pos: pos} }

func boolAt(b bool, pos Position) *value {
	return &value{kind: kindBoolean, text: fmt.Sprint(b), pos: pos}
}

// scalarAt is a number where s is one.
func scalarAt(s string, pos Position) *value {
	v := textAt(s, pos)
	if allOf(s, "0123456789") {
		v.kind = kindInteger
	}
	return v
}

// network says whether the guest has one of its own. systemd-nspawn takes that
// from each of these keys, and gives it a loopback interface alone where there
// is none of them.
func (c *confReader) network(private conf.Assignment) {
	has := func(keys ...string) (*value, bool) {
		for _, k := range keys {
			if v := c.root.member(k); v != nil {
				return v, true
			}
		}
		return nil, false
	}
	pos := c.at(private)
	links, linked := has("hostBridge", "hostAddress", "localAddress", "hostAddress6", "localAddress6", "localMacAddress", "interfaces", "macvlans", "extraVeths", "zone")
	if linked && private.Line == 0 {
		pos = links.pos
	}
	switch {
	case linked:
		c.root.set("privateNetwork", boolAt(true, pos))
	case conf.IsTrue(private.Value) || c.root.member("privateNetwork") != nil:
		c.root.set("privateNetwork", boolAt(true, pos))
		c.root.set("networks", &value{kind: kindList, pos: pos, list: []*value{textAt(container.NoNetwork, pos)}})
	}
}

// users are in the words of --private-users= of systemd-nspawn(1).
func (c *confReader) users(word string, pos Position) {
	base, count, counted := strings.Cut(word, ":")
	switch strings.ToLower(word) {
	case "no", "false", "off":
		word = "no"
	case "yes", "true", "on", "pick":
		word = "pick"
	case "0", "0:65536":
		word = "identity"
	}
	if counted && count == fmt.Sprint(container.IDRange) && base != "0" {
		word = base
	}
	c.root.set("privateUsers", scalarAt(word, pos))
}

// ports are a list of [PROTOCOL:]HOST[:GUEST].
func (c *confReader) ports(a conf.Assignment) {
	for word := range strings.SplitSeq(a.Value, ",") {
		if word = strings.TrimSpace(word); word != "" {
			c.port(word, c.at(a))
		}
	}
}

func (c *confReader) port(word string, pos Position) {
	port := &value{kind: kindMap, pos: pos}
	fields := strings.Split(word, ":")
	if !allOf(fields[0], "0123456789") && len(fields) > 1 {
		port.set("protocol", textAt(fields[0], pos))
		fields = fields[1:]
	}
	if len(fields) > 2 {
		c.problem(pos, "forwardPorts", "", "%q does not have the form PROTOCOL:HOST-PORT:GUEST-PORT", short(word))
		return
	}
	port.set("hostPort", scalarAt(fields[0], pos))
	if len(fields) == 2 {
		port.set("containerPort", scalarAt(fields[1], pos))
	}
	c.add("forwardPorts", port)
}
