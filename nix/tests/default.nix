# Machines that boot, with real NixOS on both sides.
{ pkgs, self }:
let
  run =
    name: test:
    pkgs.testers.runNixOSTest (
      {
        inherit name;
        defaults = {
          imports = [ self.nixosModules.host ];
          virtualisation.memorySize = 2048;
          # Guests are built beforehand: the machines have no network.
          virtualisation.writableStore = true;
        };
      }
      // import test
    );
in
builtins.mapAttrs run {
  take-over = ./take-over.nix;
  switch = ./switch.nix;
  nspawn = ./nspawn.nix;
}
