package systemd

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/nspawn"
	"github.com/berth-containers/berth/internal/state"
)

// Template is the name of the template unit for the containers of paths.
func Template(paths state.Paths) string { return paths.Instance() + "@.service" }

// Unit is the name of a container's unit: its name is the instance as it is,
// since what it consists of need not be escaped there, as long as the template
// has %i and not %I.
func Unit(paths state.Paths, n container.Name) string {
	return paths.Instance() + "@" + string(n) + ".service"
}

// ownUnit reports whether a unit is of some berth.
func ownUnit(unit string) bool {
	instance, _, ok := strings.Cut(unit, "@")
	return ok && state.IsInstance(instance)
}

// TemplateText is the content of the template unit, for the berth at program.
func TemplateText(paths state.Paths, program string) string {
	berth := command(paths, program)
	reboot := strconv.Itoa(nspawn.RebootStatus)
	return `[Unit]
Description=Container %i
Documentation=man:berth(1)
# Not after systemd-machined, which starts when it is asked: one that has to
# start anew would wait for the end of a guest that waits to be deregistered.
After=network.target
PartOf=machines.target
Before=machines.target
# For a guest that cannot even begin; others wait longer and longer.
StartLimitIntervalSec=10s
StartLimitBurst=20

[Service]
# systemd-nspawn takes the place of berth, and passes the guest's READY=1 on.
Type=notify
NotifyAccess=main
ExecStart=` + berth + ` run %i
# For inits that systemd-nspawn has no signal for.
ExecStop=-` + berth + ` halt %i
# Decides whether a guest that failed is started again, and cleans up.
ExecStopPost=-` + berth + ` settle %i
Slice=machine.slice
Delegate=yes
TasksMax=16384
OOMPolicy=continue
# The guest's init is asked to shut down, by systemd-nspawn.
KillMode=mixed
TimeoutStopSec=90s
# One that is not ready in time is killed.
TimeoutStartFailureMode=kill
Restart=on-failure
RestartSec=100ms
RestartForceExitStatus=` + reboot + `
SuccessExitStatus=` + reboot + `
DevicePolicy=closed
DeviceAllow=char-pts rw
DeviceAllow=/dev/net/tun rwm
# Of the console, of which the guest cannot pretend anything.
StandardOutput=journal
SyslogIdentifier=berth-%i
SyslogLevelPrefix=no
`
}

// command is how a unit calls the berth at program.
func command(paths state.Paths, program string) string {
	if paths.Root == "/" {
		return quoteArg(program)
	}
	return quoteArg(program) + " --root " + quoteArg(paths.Root)
}

// DropInText is what the unit of one container has beyond the template.
func DropInText(paths state.Paths, rec *state.Record) string {
	var b strings.Builder
	b.WriteString("# Made by berth for this container; changes are lost.\n[Unit]\n")
	mounts := []string{paths.Container(rec.Name), paths.Images()}
	if rec.System != "" {
		mounts = append(mounts, paths.Systems(), container.StoreDir)
	}
	for _, target := range slices.Sorted(maps.Keys(rec.Spec.BindMounts)) {
		mounts = append(mounts, rec.Spec.BindMounts[target].HostPath)
	}
	for _, m := range mounts {
		fmt.Fprintf(&b, "RequiresMountsFor=%s\n", quote(filepath.Clean(m)))
	}
	for _, d := range rec.Spec.DependsOn {
		fmt.Fprintf(&b, "After=%s\n", Unit(paths, d))
	}
	b.WriteString("\n[Service]\n")
	fmt.Fprintf(&b, "LogExtraFields=%s=%s\n", idField, rec.MachineID)
	if hasAlias(paths, rec) { // journalctl(1) has no aliases: what root's programs say of a unit it has
		fmt.Fprintf(&b, "LogExtraFields=OBJECT_SYSTEMD_UNIT=%s\n", NixosUnit(rec.Name))
	}
	fmt.Fprintf(&b, "TimeoutStartSec=%s\n", startLimit(rec.Spec.TimeoutStartSec))
	for _, l := range limitLines(rec.Spec.Limits) {
		b.WriteString(l + "\n")
	}
	for _, c := range rec.Spec.Credentials {
		setting := "LoadCredential"
		if c.Encrypted {
			setting = "LoadCredentialEncrypted"
		}
		fmt.Fprintf(&b, "%s=%s:%s\n", setting, c.ID, strings.ReplaceAll(c.Path, "%", "%%"))
	}
	for _, d := range rec.Spec.AllowedDevices {
		modifier := d.Modifier
		if modifier == "" {
			modifier = "rw"
		}
		if !strings.Contains(modifier, "m") {
			modifier += "m" // for berth, which makes the node; the guest has no capability to
		}
		fmt.Fprintf(&b, "DeviceAllow=%s %s\n", quote(d.Node), modifier)
	}
	return b.String()
}

// startLimit is a time span as systemd.time(7) has it.
func startLimit(d container.Duration) string {
	if d == 0 {
		return "infinity"
	}
	return d.String()
}

// limitLines are limits as settings of systemd.resource-control(5).
func limitLines(l container.Limits) []string {
	var out []string
	if l.MemoryMax != 0 {
		out = append(out, fmt.Sprintf("MemoryMax=%d", l.MemoryMax))
	}
	if l.CPUQuota != 0 {
		out = append(out, fmt.Sprintf("CPUQuota=%d%%", l.CPUQuota))
	}
	if l.TasksMax != 0 {
		out = append(out, fmt.Sprintf("TasksMax=%d", l.TasksMax))
	}
	if l.IOWeight != 0 {
		out = append(out, fmt.Sprintf("IOWeight=%d", l.IOWeight))
	}
	return out
}

// quoteArg protects a word of a command line, where dollars would be variables.
func quoteArg(s string) string { return quote(strings.ReplaceAll(s, "$", "$$")) }

// quote protects a word in a unit file; see systemd.syntax(7). Per cent signs
// would be specifiers.
func quote(s string) string {
	s = strings.NewReplacer("%", "%%", `\`, `\\`, `"`, `\"`).Replace(s)
	if strings.ContainsAny(s, " \t\"';\\") {
		return `"` + s + `"`
	}
	return s
}

// AutostartText is the unit that starts containers at boot, a few at a time
// and in the order of dependsOn.
func AutostartText(program string) string {
	return `[Unit]
Description=Containers that start at boot
Documentation=man:berth(1)
After=network.target remote-fs.target dbus.service systemd-machined.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=` + quoteArg(program) + ` start --autostart
TimeoutStartSec=infinity

[Install]
WantedBy=multi-user.target
`
}

// AutostartUnit is its name.
const AutostartUnit = "berth-autostart.service"
