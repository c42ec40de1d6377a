// Package build has the host's Nix evaluate and build NixOS systems, and
// evaluate declarations. It uses only what Nix has had since 2.8, and Lix:
// nix-instantiate and nix-store, and for flakes nix eval and nix flake. What
// Nix says while it works it turns into events, and what goes wrong into an
// error that fits on a screen.
package build
