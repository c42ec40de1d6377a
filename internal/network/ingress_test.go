package network

import (
	"strings"
	"testing"

	"github.com/berth-containers/berth/container"
)

func TestBesideIngress(t *testing.T) {
	t.Parallel()
	in := func(hosts ...string) (out []container.Ingress) {
		for _, h := range hosts {
			out = append(out, container.Ingress{Host: h, Port: 80, TLS: container.TLSOff})
		}
		return out
	}
	port := func(protocol string, first, last uint16) []Port {
		return []Port{{Protocol: protocol, First: first, Last: last, To: first}}
	}
	for _, c := range []struct {
		l, o Lease
		want string
	}{
		{Lease{Ingress: in("a.example.com")}, Lease{Ingress: in("b.example.com", "*.example.com")}, ""},
		{Lease{Ingress: in("c.example.com", "a.example.com")}, Lease{Name: "other", Ingress: in("b.example.com", "a.example.com")}, "a.example.com is a name of the container other"},
		{Lease{Ingress: in("*.example.com")}, Lease{Name: "other", Ingress: in("*.example.com")}, "*.example.com is a name of the container other"},
		{Lease{Name: "me", Ports: port("tcp", 80, 80)}, Lease{Name: "other", Ingress: in("a.example.com")}, "the container me has tcp port 80 of the host, at which a.example.com is answered for other"},
		{Lease{Name: "me", Ingress: in("a.example.com")}, Lease{Name: "other", Ports: port("tcp", 400, 500)}, "the container other has tcp ports 400-500 of the host"},
		{Lease{Ingress: in("a.example.com")}, Lease{Ports: port("udp", 443, 443)}, ""},
		{Lease{Ingress: in("a.example.com")}, Lease{Ports: port("tcp", 8080, 8080)}, ""},
		{Lease{}, Lease{Ports: port("tcp", 80, 80)}, ""},
	} {
		err := c.l.besideIngress(c.o)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v beside %+v: %v", c.l, c.o, err)
		}
	}
}
