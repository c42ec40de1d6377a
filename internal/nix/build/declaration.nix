# What a declaration says, as a tree of values with the places of their names:
# { m = [ { k = NAME; p = [ FILE LINE COLUMN ] or null; v = TREE; } ]; } for
# a set, { l = [ TREE ]; } for a list, { d = PATH; } for a derivation that is
# to be built, { f = true; } for a function, and { v = VALUE; } for others.
# hostSystem is the platform, for where the language does not tell.
{ hostSystem, mark }: declared:
let
  inherit (builtins) attrNames functionArgs isAttrs isFunction isList isPath isString map trace unsafeGetAttrPos;
  maxDepth = 32;

  position = name: set: let p = unsafeGetAttrPos name set; in if p == null then null else [ p.file p.line p.column ];
  entries = value: set: { m = map (name: { k = name; p = position name set; v = value name set.${name}; }) (attrNames set); };
  isPackage = v: isAttrs v && v ? drvPath;
  derivation = v: { d = "${v.drvPath}"; };

  walk = depth: v:
    if depth > maxDepth then throw "values are nested more than ${toString maxDepth} deep"
    else if isAttrs v && (v ? outPath || v ? __toString) then { v = "${v}"; }
    else if isAttrs v then entries (_: walk (depth + 1)) v
    else if isList v then { l = map (walk (depth + 1)) v; }
    else if isFunction v then { f = true; }
    else if isPath v then { v = toString v; }
    else { inherit v; };

  # Where a container finds NixOS: by its keys, or by NIX_PATH.
  nixosOf = c:
    if c ? nixosPath then c.nixosPath
    else if c ? nixpkgs then (if isAttrs c.nixpkgs then c.nixpkgs.outPath else c.nixpkgs) + "/nixos"
    else <nixpkgs/nixos>;
  guest = name: { lib, options, ... }: {
    _file = "berth";
    boot = { isContainer = true; } // (if options.boot ? isNspawnContainer then { isNspawnContainer = true; } else { });
    networking.hostName = lib.mkDefault name;
    networking.useDHCP = lib.mkDefault false;
  };
  # The system of a module that is no text, of the same evaluation.
  systemOf = name: c:
    let
      nixos = import (nixosOf c);
      module = { _file = "config"; imports = if isList c.config then c.config else [ c.config ]; };
      platform = if functionArgs nixos ? system && !(builtins ? currentSystem) then { system = hostSystem; } else { };
    in
    (nixos ({ configuration = { imports = [ (guest name) module ]; }; } // platform)).config.system.build.toplevel;
  container = name: c:
    if !isAttrs c then walk 0 c
    else if c ? config && !(isString c.config) then
      entries (key: v: if key == "config" then trace (mark + name) (derivation (systemOf name c)) else value name key v) (removeAttrs c [ "nixpkgs" "nixosPath" ])
    else entries (value name) c;
  value = name: key: v: if key == "system" && isPackage v then trace (mark + name) (derivation v) else walk 0 v;

  top = key: v:
    if key == "containers" && isAttrs v then entries container v
    else if builtins.substring 0 2 key == "x-" then { v = null; }
    else walk 0 v;
  said = if isFunction declared then declared { } else declared;
in
if isAttrs said then entries top said else walk 0 said
