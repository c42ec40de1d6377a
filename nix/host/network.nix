# berth's links and the network of a NixOS host: what manages interfaces leaves
# them alone, the firewall lets through what berth lets through, and names are
# found.
{ config, lib, ... }:
let
  inherit (import ../lib) ports split;

  cfg = config.services.berth;
  declared = lib.attrValues cfg.declaration.containers;

  # In iptables a plus stands for any end of a name, in nftables a star.
  star = if config.networking.nftables.enable then "*" else "+";
  links = map (prefix: prefix + star) [
    "berth"
    "ve-"
  ];
  allowed = ports.allowed (lib.concatMap (c: c.allowHost or [ ]) declared);

  # Where systemd-resolved does not run, berth writes names into /etc/hosts.
  addressed = lib.filterAttrs (_: c: c ? localAddress) cfg.declaration.containers;
in
{
  config = lib.mkIf cfg.enable {
    networking.dhcpcd.denyInterfaces = [
      "berth*"
      "ve-*"
    ];

    # Which guest reaches which port is what berth's own table says.
    networking.firewall = {
      trustedInterfaces = lib.mkIf allowed.all links;
      interfaces = lib.genAttrs links (_: {
        allowedTCPPorts = [ 53 ];
        allowedUDPPorts = [
          53
          67
        ];
        allowedTCPPortRanges = allowed.tcp;
        allowedUDPPortRanges = allowed.udp;
      });
    };

    # The link into the store could not be written to.
    environment.etc.hosts.mode = lib.mkIf (!config.services.resolved.enable) (lib.mkDefault "0644");
    networking.extraHosts = lib.concatStrings (
      lib.mapAttrsToList (
        name: c: "${lib.head (split "/" c.localAddress)} ${name}.containers\n"
      ) addressed
    );
  };
}
