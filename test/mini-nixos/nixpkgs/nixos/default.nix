# What <nixpkgs/nixos> is: a system of one module.
{ configuration ? import <nixos-config>, system ? builtins.currentSystem }:
let eval = import ./eval.nix { modules = [ configuration ]; inherit system; };
in
{
  inherit (eval) config options pkgs;
  system = eval.config.system.build.toplevel;
}
