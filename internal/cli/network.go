package cli

import (
	"context"
	"fmt"
	"net/netip"
	"strings"

	"github.com/spf13/cobra"

	"github.com/berth-containers/berth"
	"github.com/berth-containers/berth/container"
)

func (a *app) networkCmd() *cobra.Command {
	c := &cobra.Command{
		Use: "network", Short: "List and show the networks that berth makes for containers",
		Long: `A network is a bridge of the host with subnets of its own, which berth makes when the first container on it starts. There is
the default one, for containers with privateNetwork that say no more; those below networks: in a declaration; and one for
each zone that a container names.`,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	c.AddCommand(a.networkLsCmd(), a.networkShowCmd())
	return c
}

func (a *app) networkLsCmd() *cobra.Command {
	return a.jsonFlag(&cobra.Command{
		Use: "ls", Aliases: []string{"list"}, Short: "List networks, with how many containers are on each", Args: takes(0, 0),
		RunE: func(*cobra.Command, []string) error {
			h, err := a.open()
			if err != nil {
				return err
			}
			all, err := h.Networks()
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(all)
			}
			rows := [][]string{{"NAME", "SUBNET", "SUBNET6", "BRIDGE", "CONTAINERS", "OWNER"}}
			for _, n := range all {
				rows = append(rows, []string{n.Name, prefixWord(n.Subnet), prefixWord(n.Subnet6), n.Bridge, fmt.Sprint(len(n.Guests)), ownerWord(n.Owner)})
			}
			return table(a.Out, rows)
		},
	})
}

func prefixWord(p netip.Prefix) string {
	if !p.IsValid() {
		return "none"
	}
	return p.String()
}

func ownerWord(o container.Owner) string {
	if o == "" {
		return "-"
	}
	return string(o)
}

func (a *app) networkShowCmd() *cobra.Command {
	return a.jsonFlag(&cobra.Command{
		Use: "show NAME", Short: "Show a network and who is on it", Args: takes(1, 1),
		RunE: func(_ *cobra.Command, args []string) error {
			h, err := a.open()
			if err != nil {
				return err
			}
			n, err := h.Network(args[0])
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(n)
			}
			return table(a.Out, networkRows(n))
		},
	})
}

func networkRows(n container.NetworkStatus) [][]string {
	rows := [][]string{
		{"name", n.Name}, {"owner", ownerWord(n.Owner)}, {"bridge", n.Bridge}, {"subnet", prefixWord(n.Subnet)}, {"subnet6", prefixWord(n.Subnet6)},
		{"nat", fmt.Sprint(n.NAT)}, {"isolated", fmt.Sprint(n.Isolated)}, {"dhcp", fmt.Sprint(n.DHCP)},
	}
	for _, g := range n.Guests {
		word := "stopped"
		if g.Running {
			word = "running"
		}
		rows = append(rows, []string{"container", fmt.Sprintf("%s, %s: %s", g.Name, word, addressWords(g.Addresses))})
	}
	return rows
}

func addressWords(prefixes []netip.Prefix) string {
	var words []string
	for _, p := range prefixes {
		words = append(words, p.Addr().String())
	}
	return strings.Join(words, ", ")
}

// addressWord is a guest's address in a list: the first, of IPv4 if it has one.
func addressWord(s container.Status) string {
	if s.HostNetwork {
		return "host"
	}
	word := "-"
	for _, l := range s.Links {
		if l.DHCP && word == "-" {
			word = "dhcp"
		}
		for _, p := range l.Addresses {
			if p.Addr().Is4() {
				return p.Addr().String()
			}
			if word == "-" || word == "dhcp" {
				word = p.Addr().String()
			}
		}
	}
	return word
}

// linkWords tell of one interface of a guest.
func linkWords(l container.LinkStatus) string {
	var words []string
	for _, p := range l.Addresses {
		words = append(words, p.String())
	}
	switch {
	case l.DHCP:
		words = append(words, "by DHCP")
	case len(words) == 0:
		words = append(words, "for the guest to set up,")
	}
	where := map[string]string{"point": "to the host", "macvlan": "on " + l.Host, "moved": "of the host"}[l.Kind]
	switch {
	case l.Network != "":
		where = "on the network " + l.Network
	case l.Bridge != "":
		where = "on the bridge " + l.Bridge
	}
	text := l.Interface + ": " + strings.Join(words, ", ") + " " + where
	if l.Traffic != nil {
		text += fmt.Sprintf(" (%s in, %s out)", size(int64(l.Traffic.In.Bytes)), size(int64(l.Traffic.Out.Bytes)))
	}
	return text
}

func (a *app) portCmd() *cobra.Command {
	return a.jsonFlag(&cobra.Command{
		Use: "port NAME", Short: "Show the ports of the host that a container answers",
		Long: `port shows the ports of the host that lead to a container, as forwardPorts says, and where they lead. IN and OUT are what went
through each to the guest and from it since that started; of what came by [::1] nothing is in them. A port without an
address answers on all addresses of the host.`,
		ValidArgsFunction: a.complete, Args: takes(1, 1),
		RunE: a.onOne(func(_ context.Context, h *berth.Host, n container.Name, _ []string) error {
			ports, err := h.Ports(n)
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(ports)
			}
			rows := [][]string{{"HOST", "CONTAINER", "IN", "OUT"}}
			for _, p := range ports {
				rows = append(rows, portRow(p))
			}
			return table(a.Out, rows)
		}),
	})
}

func portRow(p container.PortStatus) []string {
	host := p.Host.String()
	if p.Listen.IsValid() {
		host = endpoint(p.Listen, p.Host)
	}
	var guest []string
	for _, g := range p.Answers {
		guest = append(guest, endpoint(g, p.Guest))
	}
	in, out := "-", "-"
	if p.Traffic != nil {
		in, out = size(int64(p.Traffic.In.Bytes)), size(int64(p.Traffic.Out.Bytes))
	}
	return []string{host + "/" + p.Protocol, strings.Join(guest, ", "), in, out}
}

func endpoint(a netip.Addr, p container.Ports) string {
	if a.Is6() {
		return fmt.Sprintf("[%v]:%v", a, p)
	}
	return fmt.Sprintf("%v:%v", a, p)
}
