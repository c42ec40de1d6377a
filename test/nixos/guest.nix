# As many options of NixOS as berth's modules for guests set or read.
{ config, lib, ... }:
let
  inherit (lib) mkOption types;
  option = type: default: mkOption { inherit type default; };
  no = option types.bool false;
  yes = option types.bool true;
in
{
  options = {
    boot.isContainer = no;
    boot.kernel.sysctl = option (types.attrsOf types.raw) { };
    console.enable = option types.bool (!config.boot.isContainer);
    networking = {
      hostName = option types.str "nixos";
      useDHCP = yes;
      useHostResolvConf = no;
    };
    nix.enable = yes;
    nixpkgs.hostPlatform = option types.raw null;
    nixpkgs.pkgs = mkOption { type = types.raw; };
    services.nginx.enable = no;
    services.resolved.enable = no;
    swapDevices = option (types.listOf types.raw) [ ];
    system.activationScripts = option (types.attrsOf types.raw) { };
    system.build = option (types.attrsOf types.raw) { };
    systemd.extraConfig = option types.lines "";
    systemd.network.wait-online.enable = yes;
    users.users = option (types.attrsOf types.anything) { };
  };

  config = {
    boot.kernel.sysctl."net.ipv4.ping_group_range" = lib.mkDefault "0 2147483647";
    networking.useHostResolvConf = lib.mkDefault true;
    system.activationScripts.specialfs = "mount";
    system.build.earlyMountScript = "/nix/store/00000000000000000000000000000000-mounts.sh";
    system.build.toplevel = "/nix/store/00000000000000000000000000000000-nixos-system-${config.networking.hostName}";
  };
}
