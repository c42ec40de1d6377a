package engine

import (
	"strings"
	"testing"
)

func TestUnfinished(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, console, want string }{
		{"nothing", "", ""},
		{"another init", "INIT: version 3.06 booting\nStarting enhanced syslogd: rsyslogd.\n", ""},
		{"one is slow", `systemd 252.39-1~deb12u2 running in system mode (+PAM)
         Starting dbus.service - D-Bus System Message Bus...
         Starting slow.service...
         Starting systemd-logind.se…ice - User Login Management...
         Starting systemd-user-sess…vice - Permit User Sessions...
[FAILED] Failed to start bad.service.
See 'systemctl status bad.service' for details.
[  OK  ] Started dbus.service - D-Bus System Message Bus.
[  OK  ] Finished systemd-user-sess…ervice - Permit User Sessions.
[  OK  ] Started systemd-logind.service - User Login Management.
[  OK  ] Reached target getty.target - Login Prompts.`, "slow.service"},
		{"of the last boot", `         Starting old.service...
systemd 257.9-1 running in system mode (+PAM)
         Starting first.service - The first...
         Starting second.service - The second...
[FAILED] Failed to start second.service - The second.`, "first.service - The first"},
	} {
		if got := strings.Join(unfinished(strings.Split(c.console, "\n")), ", "); got != c.want {
			t.Errorf("%s: %q, not %q", c.name, got, c.want)
		}
	}
}
