package systemd

import "github.com/berth-containers/berth/internal/state"

// IngressUnit is the name of the unit of the process that answers HTTP.
func IngressUnit(paths state.Paths) string { return paths.Instance() + "-ingress.service" }

// IngressText is its content, for the berth at program.
func IngressText(paths state.Paths, program string) string {
	berth, writes, home := command(paths, program), "/run /var/lib /var/log", "ProtectHome=read-only\nPrivateTmp=yes\n"
	if paths.Root != "/" {
		writes, home = quote(paths.Root), "" // where it may lie
	}
	return `[Unit]
Description=HTTP and HTTPS for containers
Documentation=man:berth-ingress(1)
After=network.target
# It comes back however often it is killed.
StartLimitIntervalSec=0

[Service]
Type=notify
# What takes over on reload says so itself.
NotifyAccess=all
ExecStart=` + berth + ` ingress serve
ExecReload=/bin/kill -HUP $MAINPID
` + whileNeeded + `TimeoutStopSec=20s
LimitNOFILE=65536
NoNewPrivileges=yes
CapabilityBoundingSet=CAP_NET_BIND_SERVICE
ProtectSystem=strict
ReadWritePaths=` + writes + `
` + home + sandbox + `ProtectKernelTunables=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
SystemCallArchitectures=native
SystemCallFilter=@system-service
`
}
