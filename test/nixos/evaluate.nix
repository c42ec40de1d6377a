# The configuration of a host that has berth's module and module.
{ lib ? import ./lib.nix, containersModule ? ./containers.nix, module ? { }, pkgs ? { } }:
lib.evalModules {
  specialArgs.pkgs = {
    path = ./nixpkgs;
    berth.outPath = "/nix/store/00000000000000000000000000000000-berth";
    stdenv = {
      hostPlatform = "host";
      buildPlatform.canExecute = _: false;
    };
    runCommand = name: _: text: { inherit name text; };
    writeText = name: text: { inherit name text; };
  }
  // lib.genAttrs [ "coreutils" "nftables" "util-linux" "xz" ] (name: { outPath = "/nix/store/00000000000000000000000000000000-${name}"; })
  // pkgs;
  modules = [
    (import ./host.nix { inherit lib containersModule; })
    ../../nix/host
    module
  ];
}
