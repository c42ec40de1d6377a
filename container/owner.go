package container

// OwnerNixOS owns the containers of a NixOS host's own configuration: nix/host
// makes that file of it.
const OwnerNixOS Owner = "file:/etc/berth/containers/nixos.json"

// HowToChange says what to do instead to who may not change a container of this
// owner.
func (o Owner) HowToChange() string {
	switch o {
	case OwnerNixOS:
		return "change the configuration of this NixOS host, and run nixos-rebuild switch"
	case OwnerCLI:
		return "change it on the command line, as with berth set"
	}
	return "change it there, and run berth apply"
}
