package network

import (
	"fmt"

	"github.com/berth-containers/berth/container"
)

// sharedHost is a name that both l and o have; "" if they have none. A name of
// its own and one with a star that stands for it too may be of two containers:
// the name of its own comes first.
func (l Lease) sharedHost(o Lease) string {
	for _, in := range l.Ingress {
		for _, other := range o.Ingress {
			if in.Host == other.Host {
				return in.Host
			}
		}
	}
	return ""
}

// answersBefore reports whether p takes what the host would answer for names
// that have ingress.
func (p Port) answersBefore(names []container.Ingress) bool {
	const plain, secure = container.IngressHTTP, container.IngressHTTPS
	return len(names) > 0 && p.Protocol == "tcp" && (p.First <= plain && plain <= p.Last || p.First <= secure && secure <= p.Last)
}

// besideIngress is why two guests cannot both run for what the host answers for
// them: a forwarded port comes before the host's own.
func (l Lease) besideIngress(o Lease) error {
	if host := l.sharedHost(o); host != "" {
		return &container.Error{Err: fmt.Errorf("ingress: %s is a name of the container %s", host, o.Name), Hint: "a name can be of one container only"}
	}
	for _, pair := range [][2]Lease{{l, o}, {o, l}} {
		for _, p := range pair[0].Ports {
			if p.answersBefore(pair[1].Ingress) {
				return &container.Error{Err: fmt.Errorf("forwardPorts: the container %s has %s of the host, at which %s is answered for %s",
					pair[0].Name, ports(p.Protocol, p.First, p.Last), pair[1].Ingress[0].Host, pair[1].Name),
					Hint: "choose another hostPort, or give that container a name by ingress too"}
			}
		}
	}
	return nil
}
