# The options of nixos-nspawn by fpletz, run by berth.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;
  inherit (import ../eval.nix { inherit lib pkgs; }) systemType;
  inherit (import ../lib) nspawn;

  cfg = config.virtualisation.nspawn;

  bind = {
    options = {
      hostPath = mkOption {
        type = types.nullOr types.str;
        default = null;
        description = "The path on the host, if it is another one.";
      };
      options = mkOption {
        type = types.listOf types.str;
        default = [ ];
        description = "Options of the mount. berth's mounts are idmap and rbind; others are refused.";
      };
      readOnly = mkOption {
        type = types.bool;
        default = false;
        description = "Whether the guest cannot write there.";
      };
    };
  };

  container =
    {
      config,
      name,
      options,
      ...
    }:
    {
      options = {
        autoStart = mkOption {
          type = types.bool;
          default = true;
          description = "Whether the container starts with the host.";
        };
        restartIfChanged = mkOption {
          type = types.bool;
          default = true;
          description = "Whether a switch of the host may restart it.";
        };
        config = mkOption {
          type = systemType {
            inherit name;
            guest = ../nspawn-guest.nix;
            imports = cfg.imports ++ [ { virtualisation.nspawn.isContainer = true; } ];
            prefix = [
              "virtualisation"
              "nspawn"
              "containers"
              name
              "config"
            ];
          };
          description = "The guest's NixOS configuration, as a module.";
        };
        path = mkOption {
          type = types.path;
          description = "A NixOS system that is already built, or a link to one, instead of config.";
        };
        network.veth = {
          enable = mkOption {
            type = types.bool;
            default = true;
            description = "Whether the guest has a link to the host.";
          };
          zone = mkOption {
            type = types.nullOr types.str;
            default = null;
            description = "The network that guests which name it share.";
          };
          config.host = mkOption {
            type = types.nullOr types.attrs;
            default = null;
            description = "Settings of systemd-networkd for the host's side. berth reads the addresses.";
          };
          config.container = mkOption {
            type = types.nullOr types.attrs;
            default = null;
            description = "Settings of systemd-networkd for the guest's side. berth reads the addresses.";
          };
        };
        binds = mkOption {
          type = types.attrsOf (types.submodule bind);
          default = { };
          description = "Files and directories of the host, by their path in the guest.";
        };
      };
      config.path = lib.mkIf options.config.isDefined config.config.system.build.toplevel;
    };
in
{
  imports = [ ../nspawn-guest.nix ];

  options.virtualisation.nspawn = {
    containers = mkOption {
      type = types.attrsOf (types.submodule container);
      default = { };
      description = "Ephemeral containers, by name.";
    };
    imports = mkOption {
      type = types.listOf types.deferredModule;
      default = [ ];
      description = "Modules for the configuration of each of these containers.";
    };
  };

  config.services.berth.from."virtualisation.nspawn.containers" = lib.mapAttrs (
    _: nspawn.render
  ) cfg.containers;
}
