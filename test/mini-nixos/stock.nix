# The units of systemd and D-Bus that every system has.
[
  "basic.target" "dbus.service" "dbus.socket" "emergency.service" "emergency.target" "exit.target" "final.target"
  "getty.target" "halt.target" "local-fs-pre.target" "local-fs.target" "multi-user.target" "network-online.target"
  "network-pre.target" "network.target" "nss-lookup.target" "nss-user-lookup.target" "paths.target" "poweroff.target"
  "reboot.target" "remote-fs.target" "rescue.service" "rescue.target" "shutdown.target" "slices.target" "sockets.target"
  "swap.target" "sysinit.target" "systemd-exit.service" "systemd-halt.service" "systemd-journal-flush.service"
  "systemd-journald-dev-log.socket" "systemd-journald.service" "systemd-journald.socket" "systemd-logind.service"
  "systemd-poweroff.service" "systemd-reboot.service" "systemd-tmpfiles-clean.service" "systemd-tmpfiles-clean.timer"
  "systemd-tmpfiles-setup.service" "time-set.target" "time-sync.target" "timers.target" "umount.target" "user.slice"
]
