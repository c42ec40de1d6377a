# containers.<name> of NixOS, run by berth. The options stay those of NixOS; what
# NixOS makes of them is switched off.
{
  config,
  lib,
  options,
  ...
}:
let
  inherit (lib) mkOption types;
  inherit (import ../lib) containers;

  cfg = config.services.berth;

  # The roots of containers that keep them, as NixOS has made them so far.
  roots = "/var/lib/${
    lib.optionalString (lib.versionAtLeast config.system.stateVersion "22.05") "nixos-"
  }containers";
  stateful = lib.attrNames (lib.filterAttrs (_: c: !c.ephemeral) config.containers);

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

  # This adds to the declaration of the option in NixOS.
  options.warnings = mkOption { apply = lib.filter unwanted; };

  config = lib.mkIf cfg.takeOverContainers {
    services.berth.from.containers = lib.mapAttrs (_: containers.render) config.containers;
    boot.enableContainers = lib.mkForce false;

    # A guest that comes up empty is worse than one that does not come up.
    systemd.services.berth-apply.preStart = lib.mkIf (stateful != [ ]) ''
      for name in ${lib.escapeShellArgs stateful}; do
        if [ -e "${roots}/$name/var" ] && [ ! -e "/var/lib/berth/containers/$name" ]; then
          echo "$name: its data is in ${roots}/$name, and berth would start it without. Bind-mount what it is to keep, in containers.$name.bindMounts, and move the directory away." >&2
          exit 1
        fi
      done
    '';
  };
}
