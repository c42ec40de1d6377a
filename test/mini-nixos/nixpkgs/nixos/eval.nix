# A module system with what tests need of NixOS': imports, functions with
# arguments, definitions that are merged, mkDefault and mkForce.
{ modules, system, specialArgs ? { } }:
let
  inherit (builtins) all attrNames concatLists concatMap concatStringsSep filter foldl' head isAttrs isFunction isList isPath isString length listToAttrs mapAttrs removeAttrs;
  base = let path = builtins.readFile ../base; in builtins.appendContext path { ${path} = { path = true; }; };
  pkgs = {
    inherit base system;
    bash = base;
    busybox = base;
    runCommand = name: env: script: derivation ({
      inherit name system;
      builder = "${base}/bin/bash";
      PATH = "${base}/bin";
      args = [ "-euc" "${script}\n:" ];
    } // env);
  };
  override = priority: content: { _type = "override"; inherit priority content; };
  lib = {
    mkDefault = override 1000;
    mkForce = override 50;
    optionalAttrs = condition: set: if condition then set else { };
  };

  # The first two parts of the names of all options.
  options = {
    boot.isContainer = { };
    environment = { etc = { }; systemPackages = { }; };
    networking = { hostName = { }; useDHCP = { }; };
    system.stateVersion = { };
    systemd.services = { };
  };

  # A module as a list of definitions, each with the file that it is in.
  load = file: m:
    let
      inFile = isPath m || isString m;
      content = if inFile then import m else m;
      module = if isFunction content then content ({ inherit config options lib pkgs; } // specialArgs) else content;
      own = module._file or (if inFile then toString m else file);
      value = module.config or (removeAttrs module [ "imports" "options" "_file" ]);
    in
    concatMap (load own) (module.imports or [ ]) ++ [ { file = own; inherit value; } ];
  definitions = concatMap (load "<unknown-file>") modules;

  weigh = d: if isAttrs d.value && d.value ? priority then { inherit (d) file; inherit (d.value) priority; value = d.value.content; } else d // { priority = 100; };
  isSet = v: isAttrs v && !(v ? outPath);
  files = concatMap (d: [ "- In `${d.file}'" ]);
  merge = name: some:
    let
      weighed = map weigh some;
      least = foldl' (n: d: if d.priority < n then d.priority else n) 10000 weighed;
      chosen = filter (d: d.priority == least) weighed;
      values = map (d: d.value) chosen;
      below = n: map (d: { inherit (d) file; value = d.value.${n}; }) (filter (d: d.value ? ${n}) chosen);
    in
    if all isSet values then mapAttrs (n: _: merge "${name}.${n}" (below n)) (foldl' (a: b: a // b) { } values)
    else if all isList values then concatLists values
    else if all (v: v == head values) values then head values
    else throw "The option `${name}' has conflicting definition values:\n${concatStringsSep "\n" (files chosen)}";

  second = d: first: if isAttrs d.value.${first} then attrNames d.value.${first} else [ "" ];
  unknown = concatMap
    (d: concatMap (first: map (n: { inherit (d) file; name = "${first}.${n}"; }) (filter (n: !((options.${first} or { }) ? ${n})) (second d first))) (attrNames d.value))
    definitions;
  merged =
    if unknown == [ ] then mapAttrs (n: _: merge n (map (d: { inherit (d) file; value = d.value.${n}; }) (filter (d: d.value ? ${n}) definitions))) (foldl' (a: d: a // d.value) { } definitions)
    else throw "The option `${(head unknown).name}' does not exist. Definition values:\n- In `${(head unknown).file}'";

  lines = set: concatStringsSep "\n" (map (n: "${n}=${toString set.${n}}") (attrNames set));
  unit = name: s: ''
    [Unit]
    Description=${s.description or name}
    [Service]
    ${lines (s.serviceConfig or { })}
    [Install]
    ${concatStringsSep "\n" (map (t: "WantedBy=${t}") (s.wantedBy or [ ]))}
  '';
  services = merged.systemd.services or { };
  config = merged // {
    system = merged.system or { } // {
      build.toplevel = import ../system.nix {
        inherit base system;
        name = merged.networking.hostName or "nixos";
        version = "24.11";
        packages = merged.environment.systemPackages or [ ];
        units = listToAttrs (map (n: { name = "${n}.service"; value = unit n services.${n}; }) (attrNames services));
        etc = { hostname = "${merged.networking.hostName or "nixos"}\n"; } // mapAttrs (_: e: e.text) (merged.environment.etc or { });
      };
    };
  };
in
{ inherit config options pkgs; }
