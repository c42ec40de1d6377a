# A guest of nixos-nspawn by fpletz: one of berth's, with what that module gives
# its guests besides. A host has the option too, as it has there: one module
# serves a host, its guests, and systems that are built elsewhere.
{
  config,
  lib,
  options,
  ...
}:
{
  options.virtualisation.nspawn.isContainer = lib.mkOption {
    type = lib.types.bool;
    default = false;
    description = "Whether this system is the guest of an nspawn container.";
  };

  config = lib.mkIf config.virtualisation.nspawn.isContainer (
    lib.mkMerge [
      (import ./guest.nix { inherit config lib options; }).config

      # Root logs in without a password.
      { users.users.root.initialHashedPassword = lib.mkOverride 150 ""; }
    ]
  );
}
