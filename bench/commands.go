package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"

	"github.com/berth-containers/berth/internal/network"
)

// commands are the programs that set up the network of one guest, and take it
// down, as berth would.
type commands struct {
	lab   *lab
	host  *netHost
	lease network.Lease
	// add and remove are files of nft(8), with the elements that berth would put
	// into the sets of its tables.
	add, remove string
}

// newCommands finds out what berth gives the guest of l in nftables.
func (l *lab) newCommands(ctx context.Context, h *netHost, is network.Lease) (*commands, error) {
	before, err := h.elements(ctx)
	if err != nil {
		return nil, err
	}
	guest, err := newPlace(ctx)
	if err != nil {
		return nil, err
	}
	defer guest.close()
	if err := h.do(func() error { return network.Attach(ctx, h.paths, is, guest.file) }); err != nil {
		return nil, err
	}
	after, err := h.elements(ctx)
	if err := errors.Join(err, h.do(func() error { return network.Detach(ctx, h.paths, is.Name) })); err != nil {
		return nil, err
	}
	c := &commands{lab: l, host: h, lease: is, add: l.path("add.nft"), remove: l.path("remove.nft")}
	var add, remove strings.Builder
	for _, e := range after {
		if slices.Contains(before, e) {
			continue
		}
		key, _, _ := strings.Cut(e.text, " : ") // elements of maps go by their keys
		fmt.Fprintf(&add, "add element %s { %s }\n", e.set, e.text)
		fmt.Fprintf(&remove, "delete element %s { %s }\n", e.set, key)
	}
	return c, errors.Join(os.WriteFile(c.add, []byte(add.String()), 0o600), os.WriteFile(c.remove, []byte(remove.String()), 0o600))
}

// element is one of a set or map of nftables.
type element struct{ set, text string }

var (
	nftTable = regexp.MustCompile(`^table (\S+ \S+) \{`)
	nftSet   = regexp.MustCompile(`(?s)\t(?:set|map) (\S+) \{[^{}]*elements = \{([^{}]*)\}`)
)

// elements are all of the host, as nft(8) lists them.
func (h *netHost) elements(ctx context.Context) (out []element, err error) {
	var listed []byte
	err = h.do(func() (err error) {
		listed, err = exec.CommandContext(ctx, "nft", "list", "ruleset").Output()
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("nft list ruleset: %w", err)
	}
	for table := range strings.SplitSeq(string(listed), "\n}\n") {
		name := nftTable.FindStringSubmatch(table)
		if name == nil {
			continue
		}
		for _, set := range nftSet.FindAllStringSubmatch(table, -1) {
			for e := range strings.SplitSeq(set[2], ",") {
				text, _, _ := strings.Cut(strings.TrimSpace(e), " counter ")
				out = append(out, element{name[1] + " " + set[1], text})
			}
		}
	}
	return out, nil
}

// outside and inside are the words of ip(8) on the host and in the guest.
func (c *commands) outside(guest *place) []string {
	k := c.lease.Links[0]
	return []string{
		fmt.Sprintf("link add %s type veth peer name %s address %s netns %s", k.Host, k.Guest, k.MAC, guest.path()),
		fmt.Sprintf("link set %s alias %s/%s", k.Host, c.host.paths.Instance(), c.lease.Name),
		fmt.Sprintf("link property add dev %s altname berth-link-%s", k.Host, k.Host),
		fmt.Sprintf("link set %s addrgenmode none master %s up", k.Host, k.Bridge),
	}
}

func (c *commands) inside() []string {
	k := c.lease.Links[0]
	return []string{
		fmt.Sprintf("addr add %s dev %s", k.Addresses[0], k.Guest),
		fmt.Sprintf("addr add %s dev %s nodad", k.Addresses[1], k.Guest),
		fmt.Sprintf("link set %s up", k.Guest),
		fmt.Sprintf("route add default via %s dev %s", k.Gateways[0], k.Guest),
		fmt.Sprintf("-6 route add default via %s dev %s", k.Gateways[1], k.Guest),
	}
}

// single runs one `ip` for each step, and one `nft`.
func (c *commands) single(ctx context.Context, guest *place) error {
	ip := func(words []string) (out []string) {
		for _, w := range words {
			out = append(out, "ip "+w)
		}
		return out
	}
	return errors.Join(c.host.run(ctx, append(ip(c.outside(guest)), "nft -f "+c.add)...), guest.run(ctx, ip(c.inside())...))
}

// batched runs as few programs as can be: two `ip -batch` and one `nft`.
func (c *commands) batched(ctx context.Context, guest *place) error {
	batch := func(p *place, file string, words []string, more ...string) error {
		path := c.lab.path(file)
		err := os.WriteFile(path, []byte(strings.ReplaceAll(strings.Join(words, "\n")+"\n", "-6 route", "route")), 0o600)
		return errors.Join(err, p.run(ctx, append([]string{"ip -batch " + path}, more...)...))
	}
	return errors.Join(batch(c.host.place, "outside.ip", c.outside(guest), "nft -f "+c.add), batch(guest, "inside.ip", c.inside()))
}

// takeDown undoes either.
func (c *commands) takeDown(ctx context.Context, guest *place) error {
	return c.host.run(ctx, "ip link del "+c.lease.Links[0].Host, "nft -f "+c.remove)
}
