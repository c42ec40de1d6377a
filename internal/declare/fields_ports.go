package declare

import (
	"fmt"
	"strings"

	"github.com/berth-containers/berth/container"
)

func forwardPorts() codec[[]container.ForwardPort] {
	type forward = container.ForwardPort
	one := object("a map of keys such as hostPort", forward{Protocol: "tcp"}, fits,
		key("protocol", oneOf[string]("tcp or udp", "neither tcp nor udp", "tcp", "udp"), func(f *forward) *string { return &f.Protocol }),
		need(key("hostPort", ports(), func(f *forward) *container.Ports { return &f.HostPort })),
		key("containerPort", port(), func(f *forward) *uint16 { return &f.ContainerPort }),
		key("hostAddress", plain("an address of the host", "", container.ParseListenAddress).codec(), func(f *forward) *string { return &f.HostAddress }),
	)
	written := func(format string) func(*value) string {
		return func(v *value) string {
			if v.kind == kindInteger {
				return fmt.Sprintf(format, "{ hostPort: "+short(v.text)+" }")
			}
			host, guest, ok := strings.Cut(v.text, ":")
			if v.kind == kindText && ok && isInteger(host) && isInteger(guest) {
				return fmt.Sprintf(format, fmt.Sprintf("{ hostPort: %s, containerPort: %s }", short(host), short(guest)))
			}
			return ""
		}
	}
	list := listOf("a list of port forwards", withHint(one, written("write %s")), describeForward)
	return withHint(list, written("write [%s]"))
}

func port() codec[uint16] { return wholeNumber[uint16](1, 65535) }

// ports is a port or a range of ports.
func ports() codec[container.Ports] {
	one, low, high := port(), int64(1), int64(65535)
	c := words[container.Ports]{
		what: "a port such as 8080, or a range such as 8000-8010", pattern: "^[0-9]+(-[0-9]+)?$", number: true,
		parse: func(_ *reader, s string) (container.Ports, error) {
			first, last, err := container.ParsePorts(s)
			return container.Ports{First: first, Last: last}, err
		},
		format: func(p container.Ports) string {
			if p.First == 0 {
				return ""
			}
			return p.String()
		},
	}.codec()
	c.schema.Minimum, c.schema.Maximum = &low, &high
	read := c.read
	c.read = func(r *reader, at path, v *value) (container.Ports, bool) {
		if v.kind == kindInteger && v.literal == nil {
			n, ok := one.read(r, at, v)
			return container.Port(n), ok
		}
		return read(r, at, v)
	}
	return c
}

// fits reports a range that runs out of ports in the guest.
func fits(_ *reader, _ path, f *container.ForwardPort) error {
	if last := int(f.To()) + f.HostPort.Count() - 1; last > 65535 {
		return fmt.Errorf("%d ports from containerPort %d on end beyond 65535", f.HostPort.Count(), f.ContainerPort)
	}
	return nil
}

// oneOf is one of some words.
func oneOf[T ~string](what, none string, options ...string) codec[T] {
	return words[T]{
		what: what, options: options,
		parse: func(_ *reader, s string) (T, error) {
			if indexOf(options, s) < 0 {
				return "", fmt.Errorf("%q is %s", s, none)
			}
			return T(s), nil
		},
		format: func(t T) string { return string(t) },
	}.codec()
}

// describeForward is what no two forwards may share: where they listen.
func describeForward(f container.ForwardPort) string {
	kind := "port"
	if f.HostPort.Count() > 1 {
		kind = "ports"
	}
	if f.HostAddress == "" {
		return fmt.Sprintf("%s %s %v of the host", f.Protocol, kind, f.HostPort)
	}
	return fmt.Sprintf("%s %s %v of %s", f.Protocol, kind, f.HostPort, f.HostAddress)
}

func allowHost() codec[[]container.HostPort] {
	one := words[container.HostPort]{
		what: "a port of the host such as 5432 or udp/123", pattern: "^(all|((tcp|udp)/)?[0-9]+(-[0-9]+)?)$", number: true,
		parse:  func(_ *reader, s string) (container.HostPort, error) { return container.ParseHostPort(s) },
		format: container.HostPort.String,
	}.codec()
	return listOf("a list of ports", one, func(p container.HostPort) string { return itself(p.String()) })
}

func ingress() codec[[]container.Ingress] {
	type in = container.Ingress
	one := object("a map such as { host: www.example.com, port: 80 }", in{Port: 80, TLS: container.TLSInternal}, ingressCheck,
		need(key("host", plain("the name of a host", "", container.ParseHost).codec(), func(i *in) *string { return &i.Host })),
		key("port", port(), func(i *in) *uint16 { return &i.Port }),
		key("tls", oneOf[container.TLS]("acme, internal or off", "none of acme, internal and off", "acme", "internal", "off"),
			func(i *in) *container.TLS { return &i.TLS }),
	)
	return listOf("a list of names and ports", one, func(i in) string { return itself(i.Host) })
}

// ingressCheck looks at one name. To ask an authority for a certificate is to
// agree to its terms, so that nobody's declaration does it by default.
func ingressCheck(_ *reader, _ path, i *container.Ingress) error {
	if err := i.Check(); err != nil {
		return hinted{err, "name each host, or use tls: internal"}
	}
	return nil
}

func aliases() codec[[]string] {
	return listOf("a list of names", plain("a name", "", container.ParseAlias).codec(), itself[string])
}

func networkName() codec[string] {
	return plain("the name of a network", `^[A-Za-z0-9]([A-Za-z0-9_-]{0,61}[A-Za-z0-9])?$`, func(s string) (string, error) {
		if s == container.NoNetwork {
			return "", hinted{fmt.Errorf("%q is not the name of a network", s), "networks: [none] gives the guest a loopback interface alone"}
		}
		return container.ParseNetwork(s)
	}).codec()
}

// networkNames may have none among them.
func networkNames() codec[[]string] {
	one := plain("the name of a network", networkName().schema.Pattern, container.ParseNetwork).codec()
	return listOf("a list of network names", one, itself[string])
}
