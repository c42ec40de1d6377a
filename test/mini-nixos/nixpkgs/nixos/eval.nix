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
    coreutils = base;
    perl = base;
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
    networking = { firewall = { }; hostName = { }; useDHCP = { }; };
    system.stateVersion = { };
    systemd = { services = { }; sockets = { }; };
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

  line = name: value: "${name}=${if value == true then "true" else if value == false then "false" else toString value}";
  lines = set: concatStringsSep "\n" (concatMap (n: map (line n) (if isList set.${n} then set.${n} else [ set.${n} ])) (attrNames set));
  wanted = u: lines { WantedBy = u.wantedBy or [ ]; };
  service = name: s: ''
    [Unit]
    Description=${s.description or name}
    ${lines (lib.optionalAttrs (s ? stopIfChanged) { X-StopIfChanged = s.stopIfChanged; })}
    [Service]
    ${lines (s.serviceConfig or { })}
    [Install]
    ${wanted s}
  '';
  socket = name: s: ''
    [Unit]
    Description=${s.description or name}
    [Socket]
    ${lines { ListenStream = s.listenStreams or [ ]; }}
    [Install]
    ${wanted s}
  '';
  units = type: text: set: listToAttrs (map (n: { name = "${n}.${type}"; value = text n set.${n}; }) (attrNames set));
  systemd = merged.systemd or { };
  config = merged // {
    system = merged.system or { } // {
      build.toplevel = import ../system.nix {
        inherit base system;
        name = merged.networking.hostName or "nixos";
        version = "24.11";
        packages = merged.environment.systemPackages or [ ];
        units = units "service" service (systemd.services or { }) // units "socket" socket (systemd.sockets or { });
        etc = { hostname = "${merged.networking.hostName or "nixos"}\n"; } // mapAttrs (_: e: e.text) (merged.environment.etc or { });
      };
    };
  };
in
{ inherit config options pkgs; }
