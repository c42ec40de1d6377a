# As eval-config.nix of NixOS: the configuration of a guest, of as many options
# as berth's modules for guests set or read. Its system is a path that says
# what it is made of.
{ lib ? import ../../../lib.nix, modules, specialArgs ? { }, system, prefix ? [ ] }:
lib.evalModules {
  inherit prefix specialArgs;
  modules = [ ../../../guest.nix ] ++ modules;
}
