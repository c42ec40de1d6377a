// Package managers is the suite of what manages the networks of hosts: berth
// beside systemd-networkd, NetworkManager and ifupdown, systemd-resolved, Docker,
// firewalld, ufw and servers of DHCP, each as its package brings it. Its tests run inside
// a nested host that has all of them, where they may do to the whole machine
// what they like, one after the other; the program of test/hosts takes them there.
package managers
