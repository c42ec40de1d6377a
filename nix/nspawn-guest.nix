# What nixos-nspawn by fpletz gives its guests beside ./guest.nix.
{ config, lib, ... }:
{
  options.virtualisation.nspawn.isContainer = lib.mkOption {
    type = lib.types.bool;
    default = false;
    description = "Whether this system is the guest of an nspawn container.";
  };

  # Root logs in without a password.
  config = lib.mkIf config.virtualisation.nspawn.isContainer {
    users.users.root.initialHashedPassword = lib.mkOverride 150 "";
  };
}
