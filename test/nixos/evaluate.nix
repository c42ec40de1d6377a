# The configuration of a host that has berth's module and module.
{ lib ? import ./lib.nix, containersModule ? ./containers.nix, module ? { }, pkgs ? { } }:
let
  program = name: { outPath = "/nix/store/00000000000000000000000000000000-${name}"; };
  packages = {
    path = ./nixpkgs;
    berth = program "berth";
    stdenv = {
      hostPlatform.system = "x86_64-linux";
      buildPlatform.canExecute = _: false;
    };
    runCommand = name: _: text: { inherit name text; };
    writeText = name: text: { inherit name text; };
  }
  // lib.genAttrs [ "coreutils" "nftables" "util-linux" "xz" ] program
  // pkgs;
in
lib.evalModules {
  modules = [
    (import ./host.nix { inherit lib containersModule; })
    ../../nix/host
    # As in NixOS, pkgs is what the configuration makes of it.
    ({ config, ... }: { _module.args.pkgs = config.nixpkgs.pkgs; })
    { nixpkgs.pkgs = packages; }
    module
  ];
}
