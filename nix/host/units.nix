# Units and programs. What berth's own package brings is what `berth install`
# writes elsewhere; the configuration says when they run.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.services.berth;
  berth = "${cfg.package}/bin/berth";
  declaration = "berth/containers/nixos.json";

  # For systemd-nspawn, nix-store, nft and xz.
  path = [
    config.systemd.package
    config.nix.package
    pkgs.nftables
    pkgs.util-linux
    pkgs.xz
  ];

  flags =
    {
      stop = [ "--release" ];
      destroy = [ "--prune" ];
    }
    .${cfg.removed}
    ++ lib.optional cfg.adopt "--adopt";
in
{
  config = lib.mkIf cfg.enable {
    environment.systemPackages = [ cfg.package ];
    systemd.packages = [ cfg.package ];

    # What containers need of the kernel, also where modules are locked later.
    boot.kernelModules = [
      "bridge"
      "macvlan"
      "overlay"
      "tap"
      "tun"
      "veth"
    ];

    systemd.services = {
      # A newer berth restarts no guest.
      "berth@" = {
        inherit path;
        restartIfChanged = false;
      };

      # A newer berth takes their place at the end of a switch, so that guests are
      # not without them meanwhile.
      berth-names.stopIfChanged = false;
      berth-ingress = {
        stopIfChanged = false;
        # There is no /bin/kill.
        serviceConfig.ExecReload = [
          ""
          "${pkgs.coreutils}/bin/kill -HUP $MAINPID"
        ];
      };

      berth-autostart = {
        inherit path;
        wantedBy = [ "multi-user.target" ];
        restartIfChanged = false;
      };

      # At boot, and whenever a switch of the host changes what is declared:
      # guests switch in place, and restart where something else has changed.
      berth-apply = {
        inherit path;
        description = "Containers as the configuration of this host declares them";
        documentation = [ "man:berth-apply(1)" ];
        wantedBy = [ "multi-user.target" ];
        after = [
          "network.target"
          "remote-fs.target"
          "dbus.service"
          "systemd-machined.service"
          "nix-daemon.socket"
        ];
        before = [ "berth-autostart.service" ];
        restartTriggers = [ config.environment.etc.${declaration}.source ];
        stopIfChanged = false;
        serviceConfig = {
          Type = "oneshot";
          RemainAfterExit = true;
          ExecStart = "${berth} apply --yes ${lib.escapeShellArgs flags} --file /etc/${declaration}";
          TimeoutStartSec = "infinity";
        };
      };
    };
  };
}
