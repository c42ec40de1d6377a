package sysctl

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
)

// Forwarding are the settings with which the kernel forwards between
// interfaces, of the families that it has.
func Forwarding() ([]Setting, error) {
	four, err := forwarding("net/ipv4", "net/ipv4/ip_forward", "net/ipv4/conf/all/accept_redirects")
	if err != nil {
		return nil, err
	}
	six, err := forwarding("net/ipv6", "net/ipv6/conf/all/forwarding")
	if err != nil || six == nil {
		return four, err
	}
	six[0].Before, err = advertised()
	return append(four, six...), err
}

// forwarding is the setting of one family. The kernel sets that of every
// interface together with it.
func forwarding(family, name string, along ...string) ([]Setting, error) {
	value, err := Value(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, err
	case value == "1":
		return []Setting{{Name: name, Value: "1"}}, nil
	}
	own, err := interfaces(family, "forwarding", "1")
	return []Setting{{Name: name, Value: "1", Along: append(along, own...)}}, err
}

// advertised makes interfaces that have their routes of routers' advertisements
// go on with that where the host forwards. Without it the kernel drops these
// routes when forwarding begins; see accept_ra in its ip-sysctl.rst.
func advertised() ([]Setting, error) {
	if value, err := Value("net/ipv6/conf/all/forwarding"); err != nil || value == "1" {
		return nil, err
	}
	names, err := interfaces("net/ipv6", "accept_ra", "1")
	var out []Setting
	for _, name := range names {
		if forwards, err := Value(path.Join(path.Dir(name), "forwarding")); err == nil && forwards == "0" {
			out = append(out, Setting{Name: name, Value: "2"})
		}
	}
	return out, err
}

// interfaces are the settings of single interfaces that have a value.
func interfaces(family, setting, value string) ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(dir, family, "conf"))
	if err != nil {
		return nil, err
	}
	var out []string
	for _, e := range entries {
		name := path.Join(family, "conf", e.Name(), setting)
		if e.Name() == "all" || e.Name() == "default" && setting == "accept_ra" {
			continue // these are for interfaces to come
		}
		if v, err := Value(name); err == nil && v == value {
			out = append(out, name)
		}
	}
	return out, nil
}
