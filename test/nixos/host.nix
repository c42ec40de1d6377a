# As many options of NixOS as berth's modules for hosts set or read, with a lib
# that may be the stand-in or that of nixpkgs.
{ lib, containersModule ? ./containers.nix }:
let
  inherit (lib) mkOption types;
  any = types.attrsOf types.anything;
  option =
    type: default:
    mkOption { inherit type default; };
  yes = option types.bool true;
  no = option types.bool false;
  service = {
    options = {
      description = option types.str "";
      documentation = option (types.listOf types.str) [ ];
      wantedBy = option (types.listOf types.str) [ ];
      after = option (types.listOf types.str) [ ];
      before = option (types.listOf types.str) [ ];
      path = option (types.listOf types.raw) [ ];
      preStart = option types.lines "";
      restartIfChanged = yes;
      stopIfChanged = yes;
      restartTriggers = option (types.listOf types.raw) [ ];
      serviceConfig = option any { };
    };
  };
  file = {
    options = {
      text = option (types.nullOr types.lines) null;
      source = option types.raw null;
      mode = option types.str "symlink";
    };
  };
in
{
  imports = [
    containersModule
    ./guest.nix # a guest has no options that a host has not
  ];

  options = {
    assertions = option (types.listOf types.raw) [ ];
    warnings = mkOption {
      type = types.listOf types.str;
      default = [ ];
    };
    boot.kernelModules = option (types.listOf types.str) [ ];
    environment.etc = option (types.attrsOf (types.submodule file)) { };
    environment.systemPackages = option (types.listOf types.raw) [ ];
    networking = {
      dhcpcd.denyInterfaces = option (types.listOf types.str) [ ];
      extraHosts = option types.lines "";
      nftables.enable = no;
      firewall = {
        trustedInterfaces = option (types.listOf types.str) [ ];
        interfaces = option any { };
      };
    };
    nix.package = option types.raw { outPath = "/nix/store/00000000000000000000000000000000-nix"; };
    system.stateVersion = option types.str "24.11";
    systemd = {
      package = option types.raw { outPath = "/nix/store/00000000000000000000000000000000-systemd"; };
      packages = option (types.listOf types.raw) [ ];
      services = option (types.attrsOf (types.submodule service)) { };
    };
  };
}
