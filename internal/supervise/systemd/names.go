package systemd

import "github.com/berth-containers/berth/internal/state"

// NamesUnit is the name of the unit of the process for names.
func NamesUnit(paths state.Paths) string { return paths.Instance() + "-names.service" }

// NamesText is its content, for the berth at program.
func NamesText(paths state.Paths, program string) string {
	berth, writes, hidden := command(paths, program), "/run", "ProtectHome=yes\nPrivateTmp=yes\n"
	if paths.Root != "/" {
		writes, hidden = quote(paths.Root), "" // where it may lie
	}
	return `[Unit]
Description=Names, DHCP and [::1] for containers
Documentation=man:berth(1)
After=network.target systemd-resolved.service
# It comes back however often it is killed.
StartLimitIntervalSec=0

[Service]
Type=notify
ExecStart=` + berth + ` names
` + whileNeeded + `LimitNOFILE=65536
NoNewPrivileges=yes
# Rules of nftables that somebody has removed, and settings of the kernel for
# forwarding, which it is told of and makes anew; ports below 1024; and a file
# that is root's.
CapabilityBoundingSet=CAP_NET_ADMIN CAP_NET_BIND_SERVICE CAP_CHOWN CAP_FOWNER CAP_DAC_OVERRIDE
ProtectSystem=strict
# Names for the host are in /etc/hosts where systemd-resolved does not run.
ReadWritePaths=/etc ` + writes + `
` + hidden + sandbox + `RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
SystemCallArchitectures=native
SystemCallFilter=@system-service
`
}
