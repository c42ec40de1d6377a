# The type of an option whose value is a NixOS system: definitions are NixOS
# modules, the value is the configuration that comes of them.
{ lib, pkgs }:
{
  # name is the container's, prefix is for messages.
  systemType =
    {
      name,
      prefix,
      nixpkgs ? pkgs.path,
      specialArgs ? { },
      imports ? [ ],
      guest ? ./guest.nix,
    }:
    lib.mkOptionType {
      name = "NixOS module";
      description = "NixOS module";
      merge =
        _: definitions:
        (import "${toString nixpkgs}/nixos/lib/eval-config.nix" {
          inherit specialArgs prefix;
          system = null; # that of the host, below
          modules = [
            guest
            (
              { options, ... }:
              {
                networking.hostName = lib.mkDefault name;
                nixpkgs =
                  if options.nixpkgs ? hostPlatform then
                    { hostPlatform = lib.mkDefault pkgs.stdenv.hostPlatform; }
                  else
                    { localSystem = lib.mkDefault pkgs.stdenv.hostPlatform; };
              }
            )
          ]
          ++ imports
          ++ map (d: d.value) definitions;
        }).config;
    };
}
