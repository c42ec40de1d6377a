// Package firewall tells what the firewalls of this host drop. It reads and
// changes nothing.
package firewall
