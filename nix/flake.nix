{
  description = "Full-system Linux containers from one declaration, NixOS first";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";

  outputs =
    { self, nixpkgs }:
    let
      systems = [
        "x86_64-linux"
        "aarch64-linux"
      ];
      each =
        f:
        builtins.listToAttrs (
          map (system: {
            name = system;
            value = f nixpkgs.legacyPackages.${system};
          }) systems
        );
      version = self.shortRev or self.dirtyShortRev or "unstable";
      package = pkgs: pkgs.callPackage ./package.nix { inherit version; };
    in
    {
      overlays.default = final: _: { berth = package final; };

      packages = each (pkgs: rec {
        berth = package pkgs;
        default = berth;
      });

      nixosModules = rec {
        # berth is built with the nixpkgs of this flake: that of an older host
        # may not have its Go. The program needs nothing of either.
        host =
          { pkgs, lib, ... }:
          {
            key = "${toString ./.}#nixosModules.host"; # of which one is enough
            imports = [ ./host ];
            services.berth.package = lib.mkDefault self.packages.${pkgs.stdenv.hostPlatform.system}.berth;
          };
        guest.imports = [ ./guest.nix ]; # nix flake check takes no path
        default = host;
      };

      # They boot machines: nix flake check ./nix
      checks = each (pkgs: import ./tests { inherit pkgs self; });
    };
}
