package firewall

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/xt"
	"golang.org/x/sys/unix"
)

// Published is a port of the host, or a range, that rules of others lead
// somewhere, as Docker's for what its containers publish. Nobody listens there.
type Published struct {
	Protocol    string // tcp or udp
	First, Last uint16
	Address     netip.Addr // of the host; the zero Addr: all
	By          string     // for people, such as "Docker"
}

// AllPublished are those of this network namespace: of rules that name a port
// each, in nftables, but for the tables called own, and in the older tables of
// iptables. Chains with rules that package nftables cannot read are left out.
func AllPublished(own string) ([]Published, error) {
	c, err := nftables.New()
	if err != nil {
		return nil, fmt.Errorf("ask nftables: %w", err)
	}
	chains, err := c.ListChains()
	if err != nil && !absent(err) {
		return nil, fmt.Errorf("ask nftables: %w", err)
	}
	translates := map[string]bool{} // tables
	key := func(t *nftables.Table) string { return fmt.Sprint(t.Family, " ", t.Name) }
	for _, chain := range chains {
		if chain.Type == nftables.ChainTypeNAT && chain.Table.Name != own {
			translates[key(chain.Table)] = true
		}
	}
	var out []Published
	for _, chain := range chains {
		if !translates[key(chain.Table)] {
			continue
		}
		rules, err := c.GetRules(chain.Table, chain)
		if err != nil {
			continue // or it has gone meanwhile
		}
		for _, r := range rules {
			if p, ok := published(r.Exprs); ok {
				p.By = publisher(chain.Name, fmt.Sprintf("nftables %s %s %s", familyName(chain.Table.Family), chain.Table.Name, chain.Name))
				out = append(out, p)
			}
		}
	}
	old, err := legacyPublished()
	return append(out, old...), err
}

// publisher is whose chain it is.
func publisher(chain, otherwise string) string {
	switch {
	case strings.HasPrefix(chain, "DOCKER"):
		return "Docker"
	case strings.HasPrefix(strings.ToUpper(chain), "NETAVARK"), strings.HasPrefix(strings.ToUpper(chain), "NV_"):
		return "Podman"
	}
	return otherwise
}

// published is what a rule with these expressions leads elsewhere, if it names
// one port, or one range.
func published(rule []expr.Any) (p Published, ok bool) {
	leads, inverse := false, false
	loaded := "" // what the next comparison is about
	for _, e := range rule {
		switch e := e.(type) {
		case *expr.Meta:
			loaded = map[expr.MetaKey]string{expr.MetaKeyL4PROTO: "protocol"}[e.Key]
		case *expr.Payload:
			loaded = loadedBy(e)
		case *expr.Cmp:
			inverse = inverse || e.Op == expr.CmpOpNeq && loaded != ""
			p.compare(loaded, e)
		case *expr.Range:
			inverse = inverse || e.Op != expr.CmpOpEq && loaded == "port"
			if loaded == "port" && len(e.FromData) == 2 && len(e.ToData) == 2 {
				p.First, p.Last = binary.BigEndian.Uint16(e.FromData), binary.BigEndian.Uint16(e.ToData)
			}
		case *expr.Match:
			switch i := e.Info.(type) {
			case *xt.Tcp:
				p.Protocol, p.First, p.Last = "tcp", i.DstPorts[0], i.DstPorts[1]
				inverse = inverse || i.InvFlags&xt.TcpInvDestPorts != 0
			case *xt.Udp:
				p.Protocol, p.First, p.Last = "udp", i.DstPorts[0], i.DstPorts[1]
				inverse = inverse || i.InvFlags&xt.UdpInvDestPorts != 0
			}
		case *expr.NAT:
			leads = leads || e.Type == expr.NATTypeDestNAT
		case *expr.Target:
			leads = leads || e.Name == "DNAT" || e.Name == "REDIRECT"
		case *expr.Redir:
			leads = true
		}
	}
	return p, leads && !inverse && p.Protocol != "" && p.Last != 0 && (p.First > 0 || p.Last < 1<<16-1)
}

// loadedBy says what of a packet an expression loads; "" if it does not matter.
func loadedBy(e *expr.Payload) string {
	switch {
	case e.Base == expr.PayloadBaseTransportHeader && e.Offset == 2 && e.Len == 2:
		return "port"
	case e.Base != expr.PayloadBaseNetworkHeader:
		return ""
	case e.Offset == 9 && e.Len == 1, e.Offset == 6 && e.Len == 1:
		return "protocol"
	case e.Offset == 16 && e.Len == 4, e.Offset == 24 && e.Len == 16:
		return "address"
	}
	return ""
}

// compare takes from a comparison what it says of what was loaded.
func (p *Published) compare(loaded string, e *expr.Cmp) {
	switch {
	case loaded == "protocol" && len(e.Data) == 1 && e.Data[0] == unix.IPPROTO_TCP:
		p.Protocol = "tcp"
	case loaded == "protocol" && len(e.Data) == 1 && e.Data[0] == unix.IPPROTO_UDP:
		p.Protocol = "udp"
	case loaded == "address":
		p.Address, _ = netip.AddrFromSlice(e.Data)
	case loaded == "port" && len(e.Data) == 2:
		n := binary.BigEndian.Uint16(e.Data)
		if e.Op == expr.CmpOpEq || e.Op == expr.CmpOpGte {
			p.First = n
		}
		if e.Op == expr.CmpOpEq || e.Op == expr.CmpOpLte {
			p.Last = n
		}
	}
}

// legacyPublished are those of the tables of iptables that are not in nftables,
// where they are in use.
func legacyPublished() ([]Published, error) {
	var out []Published
	for _, t := range []struct{ names, program string }{
		{"/proc/net/ip_tables_names", "iptables-legacy"}, {"/proc/net/ip6_tables_names", "ip6tables-legacy"},
	} {
		names, err := os.ReadFile(t.names)
		if err != nil || !slices.Contains(strings.Fields(string(names)), "nat") {
			continue
		}
		rules, err := exec.Command(t.program, "-t", "nat", "-S").Output()
		if errors.Is(err, exec.ErrNotFound) {
			continue // doctor says so
		} else if err != nil {
			return out, fmt.Errorf("%s -t nat -S: %w", t.program, err)
		}
		for line := range strings.Lines(string(rules)) {
			if p, ok := publishedBy(strings.Fields(line), t.program); ok {
				out = append(out, p)
			}
		}
	}
	return out, nil
}

// publishedBy reads a rule as iptables -S prints it.
func publishedBy(rule []string, program string) (p Published, ok bool) {
	leads := false
	for i := 0; i+1 < len(rule); i++ {
		value := rule[i+1]
		if rule[i] == "!" && value != "-i" {
			return p, false
		}
		switch rule[i] {
		case "-A":
			p.By = publisher(value, program+" nat "+value)
		case "-p":
			p.Protocol = value
		case "-d":
			if a, err := netip.ParsePrefix(value); err == nil && a.IsSingleIP() {
				p.Address = a.Addr()
			}
		case "--dport":
			first, last, ranged := strings.Cut(value, ":")
			if !ranged {
				last = first
			}
			from, err1 := strconv.ParseUint(first, 10, 16)
			to, err2 := strconv.ParseUint(last, 10, 16)
			if err1 != nil || err2 != nil {
				return p, false
			}
			p.First, p.Last = uint16(from), uint16(to)
		case "-j":
			leads = value == "DNAT" || value == "REDIRECT"
		}
	}
	return p, leads && (p.Protocol == "tcp" || p.Protocol == "udp") && p.Last != 0
}
