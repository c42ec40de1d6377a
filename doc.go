// Package berth runs full-system Linux containers from declarations, with
// systemd-nspawn. It is what the command of the same name is made of.
//
//	host, err := berth.Open(berth.Options{})
//	...
//	err = host.Start(ctx, "web")
//
// It needs root. The words it uses are those of the package container.
package berth
