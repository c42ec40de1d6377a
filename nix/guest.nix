# What a NixOS system needs in a container of berth. It comes with each system
# that services.berth.containers.<name>.config describes; others import it.
{
  config,
  lib,
  options,
  ...
}:
let
  # NixOS itself gives these defaults for containers; they are weaker than what
  # a configuration says, and stronger than those.
  preset = lib.mkOverride 900;

  # Nothing in a container makes devices appear: there is no udev.
  impatient.DefaultDeviceTimeoutSec = "1s";
in
{
  config = lib.mkMerge [
    (if options.boot ? isNspawnContainer then { boot.isNspawnContainer = true; } else { boot.isContainer = true; })

    (
      if options.systemd ? settings then
        { systemd.settings.Manager = lib.mapAttrs (_: preset) impatient; }
      else
        {
          systemd.extraConfig = lib.concatStrings (
            lib.mapAttrsToList (name: value: "${name}=${value}\n") impatient
          );
        }
    )

    {
      # berth has set up the network when the guest's init begins.
      networking.useDHCP = preset false;
      systemd.network.wait-online.enable = preset false;

      # It has written /etc/resolv.conf too, for the resolver of the network.
      networking.useHostResolvConf = preset (!config.services.resolved.enable);

      # A login on the console, for berth login.
      console.enable = preset true;

      # The store is read-only, and no daemon is there, unless berth is to give it one.
      nix.enable = preset false;

      swapDevices = preset [ ];

      # NixOS lets groups up to 2147483647 ping, of which a user namespace has
      # 65536: systemd-sysctl would fail at each boot and each switch.
      boot.kernel.sysctl."net.ipv4.ping_group_range" = preset "0 65535";

      # systemd-nspawn has mounted most of them, and a container may not mount
      # them anew: what is there stays as it is, also during a switch.
      system.activationScripts.specialfs = lib.mkForce ''
        specialMount() {
          local device="$1" mountPoint="$2" options="$3" fsType="$4"
          if mountpoint -q "$mountPoint"; then
            return 0
          fi
          mkdir -m 0755 -p "$mountPoint"
          mount -t "$fsType" -o "$options" "$device" "$mountPoint"
        }
        source ${config.system.build.earlyMountScript}
      '';
    }
  ];
}
