package systemd

import (
	"context"
	"fmt"
	"time"

	"github.com/berth-containers/berth/internal/cgroup"
	"github.com/berth-containers/berth/internal/network/names"
	"github.com/berth-containers/berth/internal/state"
)

// NamesUnit is the name of the unit of the process for names.
func NamesUnit(paths state.Paths) string { return paths.Instance() + "-names.service" }

// NamesText is its content, for the berth at program.
func NamesText(paths state.Paths, program string) string {
	berth, writes, hidden := quoteArg(program), "/run", "ProtectHome=yes\nPrivateTmp=yes\n"
	if paths.Root != "/" {
		berth += " --root " + quoteArg(paths.Root)
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
# It ends by itself, with 0, when no container needs it, and is started with the
# first that does.
Restart=always
RestartPreventExitStatus=0
RestartSec=100ms
SuccessExitStatus=143
LimitNOFILE=65536
NoNewPrivileges=yes
# Ports below 1024, binding to bridges, rules of nftables that somebody has
# removed, and a file that is root's.
CapabilityBoundingSet=CAP_NET_ADMIN CAP_NET_BIND_SERVICE CAP_NET_RAW CAP_CHOWN CAP_FOWNER CAP_DAC_OVERRIDE
ProtectSystem=strict
# Names for the host are in /etc/hosts where systemd-resolved does not run.
ReadWritePaths=/etc ` + writes + `
` + hidden + `PrivateDevices=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectClock=yes
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
SystemCallArchitectures=native
SystemCallFilter=@system-service
`
}

// ensureNames has a process serve names, unless one does already or no lease
// needs it, and returns when it serves. systemd starts it again when it ends.
func ensureNames(ctx context.Context, paths state.Paths) error {
	if !names.Needed(paths) || names.Runs(paths) {
		return nil
	}
	h, err := cgroup.Mounted()
	if err != nil {
		return err
	}
	s, err := New(ctx, paths, h)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	for names.Needed(paths) && !names.Runs(paths) {
		if err := s.startNames(ctx); err != nil {
			return fmt.Errorf("start %s: %w", NamesUnit(paths), err)
		}
		if names.Runs(paths) {
			return nil
		}
		// It was just ending, and systemd has not seen it.
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("start %s: %w", NamesUnit(paths), context.Cause(ctx))
		}
	}
	return nil
}

// startNames starts the unit, and waits for the end of the job.
func (s *Supervisor) startNames(ctx context.Context) error {
	changed, err := s.ensureUnit(NamesUnit(s.Paths), NamesText(s.Paths, s.Program))
	if err != nil {
		return err
	}
	if changed {
		if err := s.reload(ctx); err != nil {
			return err
		}
	}
	var result chan string
	err = s.ask(ctx, func(ctx context.Context, l *link) error {
		result = make(chan string, 1)
		_, err := l.units.StartUnitContext(ctx, NamesUnit(s.Paths), "replace", result)
		return err
	})
	if err != nil {
		return err
	}
	select {
	case how := <-result:
		if how != "done" {
			return fmt.Errorf("its job ended with %q: systemctl status %s tells more", how, NamesUnit(s.Paths))
		}
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
