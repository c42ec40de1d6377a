// Package inside is the suite of faults: what happens to a host with systemd as
// PID 1, and to berth's containers on it. Its tests run inside a nested host,
// where they may do to the whole machine what they like, one after the other;
// the program of test/hosts takes them there. Those that are called
// TestBefore... come before the host is booted again, TestAfter... after it.
//
// Those that are called TestBeside... are for a host that has all that manages
// networks and firewalls: berth beside systemd-networkd, NetworkManager and
// ifupdown, systemd-resolved, Docker, firewalld, ufw and servers of DHCP, each as
// its package brings it, and as its users use it.
package inside
