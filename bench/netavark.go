package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/berth-containers/berth/internal/image"
	"github.com/berth-containers/berth/internal/state"
)

// netavarkSuite is the first release of Debian whose netavark knows nftables.
// Its programs run here with their own C library.
const netavarkSuite = "trixie"

// netavark sets up networks for podman.
type netavark struct {
	lab    *lab
	host   *place
	argv   []string // the program with what is always said
	config string   // its directory
}

// newNetavark gets the program from Debian's archive, which takes some
// seconds, and a host for it.
func (l *lab) newNetavark(ctx context.Context) (*netavark, error) {
	tree := l.path("netavark")
	mirror, err := image.HostMirror()
	if err != nil {
		return nil, err
	}
	l.say("get netavark from Debian %s", netavarkSuite)
	_, _, err = l.timed(ctx, "mmdebstrap", "--quiet", "--mode=root", "--format=directory", "--variant=extract", "--include=netavark",
		"--aptopt=Acquire::Check-Valid-Until \"false\"", netavarkSuite, tree, mirror)
	if err != nil {
		return nil, err
	}
	loaders, err := filepath.Glob(filepath.Join(tree, "usr/lib/*/ld-linux-*.so.*"))
	if err != nil || len(loaders) != 1 {
		return nil, errors.Join(err, fmt.Errorf("netavark: %d loaders in %s", len(loaders), tree))
	}
	n := &netavark{lab: l, config: l.path("netavark.d")}
	n.argv = []string{loaders[0], "--library-path", filepath.Dir(loaders[0]), filepath.Join(tree, "usr/lib/podman/netavark"), "--config", n.config}
	if err := os.Mkdir(n.config, 0o700); err != nil {
		return nil, err
	}
	n.host, err = newPlace(ctx)
	return n, err
}

func (n *netavark) close() error {
	return errors.Join(n.host.close(), state.RemoveTree(n.lab.path("netavark")), state.RemoveTree(n.config))
}

// version is the first line that the program says of itself.
func (n *netavark) version() string {
	out, err := exec.Command(n.argv[0], append(n.argv[1:], "version")...).Output()
	var v struct{ Version string }
	if err = errors.Join(err, json.Unmarshal(out, &v)); err != nil {
		return err.Error()
	}
	return v.Version
}

// netavarkOptions is what podman gives the program on its standard input; see
// netavark-setup(1).
type netavarkOptions struct {
	ID       string                    `json:"container_id"`
	Name     string                    `json:"container_name"`
	Networks map[string]netavarkLink   `json:"networks"`
	Info     map[string]netavarkBridge `json:"network_info"`
	Ports    []netavarkPort            `json:"port_mappings"`
}

type netavarkLink struct {
	Addresses []netip.Addr `json:"static_ips"`
	Interface string       `json:"interface_name"`
	MAC       string       `json:"static_mac"`
}

type netavarkBridge struct {
	Name      string              `json:"name"`
	ID        string              `json:"id"`
	Driver    string              `json:"driver"`
	Interface string              `json:"network_interface"`
	Subnets   []netavarkSubnet    `json:"subnets"`
	IPv6      bool                `json:"ipv6_enabled"`
	Internal  bool                `json:"internal"`
	DNS       bool                `json:"dns_enabled"`
	IPAM      map[string]string   `json:"ipam_options"`
	Labels    map[string]struct{} `json:"labels,omitempty"`
}

type netavarkSubnet struct {
	Subnet  netip.Prefix `json:"subnet"`
	Gateway netip.Addr   `json:"gateway"`
}

type netavarkPort struct {
	Container uint16 `json:"container_port"`
	Host      uint16 `json:"host_port"`
	Address   string `json:"host_ip"`
	Protocol  string `json:"protocol"`
	Range     uint16 `json:"range"`
}

// options give the i-th guest what lease would give it, without names.
func (n *netavark) options(i int, host ...uint16) netavarkOptions {
	l := lease(i)
	const name = "bench"
	o := netavarkOptions{ID: fmt.Sprintf("%064x", i+1), Name: string(l.Name),
		Networks: map[string]netavarkLink{name: {Interface: "eth0", MAC: string(l.Links[0].MAC)}},
		Info: map[string]netavarkBridge{name: {Name: name, ID: strings.Repeat("be", 32), Driver: "bridge", Interface: "podman1", IPv6: true,
			Subnets: []netavarkSubnet{{benchSubnet, benchSubnet.Addr().Next()}, {benchSubnet6, benchSubnet6.Addr().Next()}},
			IPAM:    map[string]string{"driver": "host-local"}}}}
	link := o.Networks[name]
	for _, a := range l.Links[0].Addresses {
		link.Addresses = append(link.Addresses, a.Addr())
	}
	o.Networks[name] = link
	for _, p := range host {
		o.Ports = append(o.Ports, netavarkPort{Container: 80, Host: p, Protocol: "tcp", Range: 1})
	}
	return o
}

// do has the program set up a guest, or tear it down.
func (n *netavark) do(ctx context.Context, verb string, guest *place, options string) error {
	cmd := exec.CommandContext(ctx, n.argv[0], append(n.argv[1:], verb, guest.path())...)
	cmd.Env = append(os.Environ(), "NETAVARK_FW=nftables")
	in, err := os.Open(options)
	if err != nil {
		return err
	}
	defer in.Close()
	cmd.Stdin = in
	return n.host.do(func() error {
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("netavark %s: %w: %s", verb, err, strings.TrimSpace(string(out)))
		}
		return nil
	})
}

// write writes options to a file, which it returns.
func (n *netavark) write(o netavarkOptions) (string, error) {
	file := filepath.Join(n.config, o.Name+".json")
	b, err := json.Marshal(o)
	return file, errors.Join(err, os.WriteFile(file, b, 0o600))
}
