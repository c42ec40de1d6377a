# containers.<name> of NixOS, run by berth. The options stay those of NixOS; what
# NixOS makes of them is switched off.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;
  inherit (import ../lib)
    after
    containers
    hasPrefix
    unique
    ;

  cfg = config.services.berth;

  # The roots of containers that keep them stay where NixOS has made them.
  roots = "/var/lib/${
    lib.optionalString (lib.versionAtLeast config.system.stateVersion "22.05") "nixos-"
  }containers";
  render =
    name: c:
    let
      r = containers.render c;
    in
    r // { keys = r.keys // lib.optionalAttrs (!c.ephemeral) { root = "${roots}/${name}"; }; };

  # What the configuration says of the units of NixOS besides, such as limits and
  # an order, is said of nothing now.
  ofNixOS = hasPrefix "container@";
  ofBerth = unit: "berth@${after "container@" unit}";
  services = config.systemd.services;
  named =
    s:
    unique (
      lib.filter ofNixOS (
        lib.concatMap (k: s.${k} or [ ]) [
          "after"
          "before"
          "bindsTo"
          "partOf"
          "requires"
          "requisite"
          "wants"
        ]
      )
    );
  stale =
    name:
    if ofNixOS name then
      [
        "systemd.services.\"${name}\" has no effect: berth runs this container, with services.berth.containers.<name>.limits, and systemd.services.\"${ofBerth name}\" with overrideStrategy = \"asDropin\"."
      ]
    else
      map (
        unit: "systemd.services.${name}: ${unit} is not there any more; ${ofBerth unit} is."
      ) (named services.${name});

  # NixOS warns of containers without their own implementation. What it says to
  # do then would have both run them.
  unwanted = w: !(cfg.takeOverContainers && lib.hasInfix "boot.enableContainers is false" w);
in
{
  options.services.berth.takeOverContainers = mkOption {
    type = types.bool;
    default = false;
    description = "Whether berth runs the containers of `containers.<name>`, with all that these options say, instead of the units `container@` of NixOS.";
  };

  # The others add to declarations of NixOS. What drops capabilities is a flag
  # by then, which NixOS' own units heed too.
  options.containers = mkOption {
    type = types.attrsOf (
      types.submodule (
        { config, ... }:
        {
          options.dropCapabilities = mkOption {
            type = types.listOf types.str;
            default = [ ];
            example = [ "CAP_SYS_CHROOT" ];
            description = "Capabilities that the container does not get.";
          };
          config.extraFlags = lib.mkIf (config.dropCapabilities != [ ]) [
            "--drop-capability=${lib.concatStringsSep "," config.dropCapabilities}"
          ];
        }
      )
    );
  };
  options.warnings = mkOption { apply = lib.filter unwanted; };

  config = lib.mkIf cfg.takeOverContainers {
    services.berth.from.containers = lib.mapAttrs render config.containers;
    boot.enableContainers = lib.mkForce false;
    warnings = lib.concatMap stale (lib.attrNames services);

    # Imperative containers are berth's too, by the commands that made them.
    environment.systemPackages = [
      (pkgs.runCommand "berth-as-nixos-container" { } ''
        mkdir -p "$out/bin"
        ln -s ${cfg.package}/bin/berth "$out/bin/nixos-container"
      '')
    ];
  };
}
