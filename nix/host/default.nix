# The host's side: containers that the NixOS configuration of the host declares.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;
  inherit (import ../eval.nix { inherit lib pkgs; }) systemType;
  schema = import ../lib/schema.nix { inherit lib; };

  cfg = config.services.berth;

  container =
    {
      config,
      name,
      options,
      ...
    }:
    {
      options = schema.container // {
        config = mkOption {
          type = systemType {
            inherit name;
            inherit (config) specialArgs;
            imports = lib.optional (!(builtins.elem config.nixInGuest [ null "none" ])) {
              nix.enable = lib.mkOverride 890 true; # instead of guest.nix
            };
            nixpkgs = if config.nixpkgs == null then pkgs.path else config.nixpkgs;
            prefix = [
              "services"
              "berth"
              "containers"
              name
              "config"
            ];
          };
          description = "The guest's NixOS configuration, as a module. It is evaluated and built with the host's.";
        };
        system = mkOption {
          type = types.nullOr types.path;
          default = null;
          defaultText = lib.literalMD "that of `config`";
          description = "A NixOS system that is already built, or a link to one, such as a profile.";
        };
        nixpkgs = mkOption {
          type = types.nullOr (types.either types.path types.str);
          default = null;
          defaultText = lib.literalExpression "pkgs.path";
          description = "The nixpkgs that config is evaluated with. With configFile, which berth builds itself when it is applied, what that key of berth takes.";
        };
        specialArgs = mkOption {
          type = types.attrsOf types.raw;
          default = { };
          description = "Further arguments for the modules of config.";
        };
        evaluated = mkOption {
          type = types.bool;
          default = options.config.isDefined;
          internal = true;
          readOnly = true;
          description = "Whether system comes of config.";
        };
      };
      config.system = lib.mkIf options.config.isDefined config.config.system.build.toplevel;
    };
in
{
  imports = [
    ./declaration.nix
    ./network.nix
    ./nspawn.nix
    ./take-over.nix
    ./units.nix
  ];

  options.services.berth = {
    enable = mkOption {
      type = types.bool;
      default = cfg.containers != { } || cfg.networks != { } || lib.any (c: c != { }) (lib.attrValues cfg.from);
      defaultText = lib.literalMD "whether anything is declared";
      description = "Whether berth is on this host, with its units and the containers that are declared for it.";
    };

    package = mkOption {
      type = types.package;
      default = pkgs.berth or (pkgs.callPackage ../package.nix { });
      defaultText = lib.literalExpression "pkgs.berth";
      description = "The berth of this host.";
    };

    settings = mkOption {
      type = types.attrsOf types.anything;
      default = { };
      example.network.subnet = "10.77.0.0/24";
      description = "What /etc/berth/berth.yaml says.";
    };

    adopt = mkOption {
      type = types.bool;
      default = false;
      description = "Whether containers of the same name that commands or other declarations made are taken over. Otherwise nothing is applied, and the switch says so.";
    };

    removed = mkOption {
      type = types.enum [
        "stop"
        "destroy"
      ];
      default = "stop";
      description = "What becomes of a container that the configuration no longer has: it is stopped and its data stays, until berth destroy (stop); or it is removed with its data (destroy).";
    };

    networks = mkOption {
      type = types.attrsOf (types.submodule { options = schema.network; });
      default = { };
      description = "Networks of berth's own, by name.";
    };

    containers = mkOption {
      type = types.attrsOf (types.submodule container);
      default = { };
      description = "Containers, by name. Where `containers.<name>` or `virtualisation.nspawn.containers.<name>` declares one of the same name, these keys are added to those, and take their place.";
    };
  };
}
