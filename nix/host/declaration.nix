# What the configuration declares, as one declaration of berth in JSON, which is
# looked at by berth's own parser when the host is built.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;
  inherit (import ../lib) only prune;

  cfg = config.services.berth;

  # own are the keys of a container of services.berth. A guest's system is left
  # alone: it may be made of what the host makes of the other keys, such as names.
  own =
    c:
    prune (
      removeAttrs c [
        "_module"
        "config"
        "evaluated"
        "nixpkgs"
        "specialArgs"
        "system"
      ]
      // lib.optionalAttrs (c.configFile or null != null) { inherit (c) nixpkgs; }
    )
    // lib.optionalAttrs (c.evaluated || c.system != null) { system = toString c.system; };

  sources = lib.attrNames cfg.from;
  others = lib.foldl' (all: from: all // cfg.from.${from}) { } sources;
  keys = name: (others.${name}.keys or { }) // own' name;
  own' = name: if cfg.containers ? ${name} then own cfg.containers.${name} else { };

  # said are the sentences of a kind on containers of other options.
  said =
    kind:
    lib.concatMap (
      from: lib.concatLists (lib.mapAttrsToList (name: c: map (text: "${from}.${name}.${text}.") c.${kind}) cfg.from.${from})
    ) sources;

  twice = lib.concatMap (
    from:
    lib.concatMap (
      name:
      lib.optional (
        lib.length (lib.filter (f: cfg.from.${f} ? ${name}) sources) > 1
      ) "${from}.${name}: ${lib.concatStringsSep " and " sources} both declare this container; keep one."
    ) (lib.attrNames cfg.from.${from})
  ) sources;

  sourceKeys = [
    "config"
    "configFile"
    "flake"
    "image"
    "system"
  ];
  rival = lib.concatMap (
    name:
    lib.optional (
      others ? ${name} && only sourceKeys (own' name) != { }
    ) "services.berth.containers.${name}: another option says already what the guest is made of; leave ${lib.concatStringsSep ", " (lib.attrNames (only sourceKeys (own' name)))} out."
  ) (lib.attrNames cfg.containers);

  text = builtins.toJSON cfg.declaration;

  # checked is a file with the declaration, which the parser has passed.
  checked =
    if pkgs.stdenv.buildPlatform.canExecute pkgs.stdenv.hostPlatform then
      pkgs.runCommand "berth-nixos.json"
        {
          inherit text;
          passAsFile = [ "text" ];
        }
        ''
          cp "$textPath" "$out"
          ${cfg.package}/bin/berth check "$out"
        ''
    else
      pkgs.writeText "berth-nixos.json" text;
in
{
  options.services.berth = {
    from = mkOption {
      type = types.attrsOf (types.attrsOf types.raw);
      default = { };
      internal = true;
      description = "Containers of other options as keys, warnings and what is refused, by the name of the option.";
    };

    declaration = mkOption {
      type = types.raw;
      readOnly = true;
      description = "The declaration that all of this makes, as berth has it: what /etc/berth/containers/nixos.json says.";
    };
  };

  config.services.berth.declaration = {
    containers = lib.genAttrs (lib.attrNames (others // cfg.containers)) keys;
  }
  // lib.optionalAttrs (cfg.networks != { }) {
    networks = lib.mapAttrs (_: n: prune (removeAttrs n [ "_module" ])) cfg.networks;
  };

  config.assertions = lib.mkIf cfg.enable (
    map (message: {
      assertion = false;
      inherit message;
    }) (said "refused" ++ twice ++ rival)
  );
  config.warnings = lib.mkIf cfg.enable (said "warnings");

  config.environment.etc = lib.mkIf cfg.enable (
    {
      "berth/containers/nixos.json".source = checked;
    }
    // lib.optionalAttrs (cfg.settings != { }) {
      "berth/berth.yaml".text = builtins.toJSON cfg.settings;
    }
  );
}
