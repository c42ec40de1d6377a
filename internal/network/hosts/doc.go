// Package hosts tells the host itself the names of guests: by systemd-resolved
// where that runs, or by lines in a file such as /etc/hosts.
package hosts
