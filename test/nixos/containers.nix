# The options containers.<name> of NixOS by their names, types and defaults, and
# as much of their implementation as somebody who takes it over has to do with.
{ config, lib, pkgs, ... }:
let
  inherit (lib) mkOption types;
  option = type: default: mkOption { inherit type default; };
  text = option (types.nullOr types.str) null;
  texts = option (types.listOf types.str) [ ];
  yes = option types.bool true;
  no = option types.bool false;

  port.options = {
    protocol = option types.str "tcp";
    hostPort = mkOption { type = types.int; };
    containerPort = option (types.nullOr types.int) null;
  };
  network = {
    hostBridge = text;
    hostAddress = text;
    hostAddress6 = text;
    localAddress = text;
    localAddress6 = text;
    localMacAddress = text;
    forwardPorts = option (types.listOf (types.submodule port)) [ ];
  };
  mount =
    { name, ... }:
    {
      options = {
        mountPoint = mkOption { type = types.str; };
        hostPath = text;
        isReadOnly = yes;
      };
      config.mountPoint = lib.mkDefault name;
    };
  device.options = {
    node = mkOption { type = types.str; };
    modifier = mkOption { type = types.str; };
  };
  container =
    { config, name, options, ... }:
    {
      options = network // {
        config = mkOption {
          type = lib.mkOptionType {
            name = "Toplevel NixOS config";
            merge =
              _: defs:
              (import "${toString config.nixpkgs}/nixos/lib/eval-config.nix" {
                inherit (config) specialArgs;
                modules = [ { networking.hostName = lib.mkDefault name; } ] ++ map (d: d.value) defs;
                system = null;
                prefix = [ "containers" name ];
              }).config;
          };
        };
        path = mkOption { type = types.path; };
        nixpkgs = option types.path pkgs.path;
        specialArgs = option (types.attrsOf types.raw) { };
        additionalCapabilities = texts;
        ephemeral = no;
        enableTun = no;
        copyResolvConf = yes;
        privateNetwork = no;
        networkNamespace = option (types.nullOr types.path) null;
        privateUsers = option (types.either types.int (types.enum [ "no" "identity" "pick" ])) "no";
        interfaces = texts;
        macvlans = texts;
        extraVeths = option (types.attrsOf (types.submodule { options = network; })) { };
        autoStart = no;
        restartIfChanged = yes;
        timeoutStartSec = option types.str "1min";
        bindMounts = option (types.attrsOf (types.submodule mount)) { };
        allowedDevices = option (types.listOf (types.submodule device)) [ ];
        tmpfs = texts;
        extraFlags = texts;
        flake = text;
        pkgs = mkOption { };
      };
      config.path = lib.mkMerge [
        (lib.mkIf options.config.isDefined config.config.system.build.toplevel)
        (lib.mkIf (config.flake != null) "/nix/var/nix/profiles/per-container/${name}")
      ];
    };
in
{
  options.boot.enableContainers = option types.bool (config.containers != { });
  options.containers = option (types.attrsOf (types.submodule container)) { };

  config = lib.mkMerge [
    {
      warnings =
        lib.optional (!config.boot.enableContainers && config.containers != { })
          "containers.<name> is used, but boot.enableContainers is false. To use containers.<name>, set boot.enableContainers to true.";
    }
    (lib.mkIf config.boot.enableContainers {
      systemd.services = builtins.listToAttrs (
        map (name: {
          name = "container@${name}";
          value = { };
        }) (lib.attrNames config.containers)
      );
    })
  ];
}
