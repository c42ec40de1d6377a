// Package nixos tests the modules in nix/ as far as Nix can without nixpkgs:
// they are evaluated with a stand-in for its lib, and what they declare goes
// through berth's own parser. That they hold on real machines is what
// nix/tests shows, where nixpkgs is.
package nixos
