# The options containers.<name> of NixOS as keys of berth. An option is a key,
# or is for the evaluation of the guest, or is refused: none is ignored without
# a word.
let
  inherit (import ./values.nix)
    after
    hasPrefix
    isEmpty
    prune
    quoted
    split
    unique
    when
    ;

  # evaluation are the options of which only the guest's system is the outcome.
  evaluation = [
    "config"
    "nixpkgs"
    "path"
    "pkgs"
    "specialArgs"
  ];

  # same are the options that are a key as they stand.
  same = [
    "additionalCapabilities"
    "allowedDevices"
    "autoStart"
    "enableTun"
    "ephemeral"
    "interfaces"
    "macvlans"
    "networkNamespace"
    "restartIfChanged"
    "timeoutStartSec"
    "tmpfs"
  ];

  # first are those of the guest's first interface. The original writes them
  # down for a guest with privateNetwork alone.
  first = [
    "forwardPorts"
    "hostAddress"
    "hostAddress6"
    "hostBridge"
    "localAddress"
    "localAddress6"
    "localMacAddress"
  ];

  changed = [
    "bindMounts"
    "copyResolvConf"
    "dropCapabilities" # berth's own, which is in extraFlags by now
    "extraFlags"
    "extraVeths"
    "flake"
    "privateNetwork"
    "privateUsers"
  ];

  options = evaluation ++ same ++ first ++ changed;

  # mount is one bind mount as { name; value; } and what is to be said of it.
  # People have put options of systemd-nspawn behind the mount point.
  mount =
    m:
    let
      parts = split ":" m.mountPoint;
      flags = split "," (builtins.concatStringsSep "," (builtins.tail parts));
      other = builtins.filter (f: f != "" && f != "idmap" && f != "rbind") flags;
      hostPath = m.hostPath or null;
    in
    {
      entry = {
        name = builtins.head parts;
        value = {
          hostPath = if hostPath == null then builtins.head parts else hostPath;
          isReadOnly = m.isReadOnly or true;
        };
      };
      refused = when (
        other != [ ]
      ) "bindMounts.\"${m.mountPoint}\": berth has no ${quoted other}; owners are the same numbers on both sides";
    };

  # users is what --private-users= of systemd-nspawn takes.
  users =
    v:
    let
      word = toString v;
      number = builtins.match "([0-9]+)(:65536)?" word;
    in
    {
      "0" = "identity";
      "0:65536" = "identity";
      "false" = "no";
      "off" = "no";
      "on" = "pick";
      "true" = "pick";
      "yes" = "pick";
    }
    .${word} or (if number == null then word else builtins.fromJSON (builtins.head number));

  # flagsOf are the options in extraFlags. NixOS has a shell part them at spaces,
  # so that one text may have many, and a value may be a text of its own.
  flagsOf =
    texts:
    let
      valued = [
        "--bind"
        "--bind-ro"
        "--capability"
        "--drop-capability"
        "--link-journal"
        "--private-users"
        "--private-users-ownership"
        "--system-call-filter"
        "--tmpfs"
      ];
      add =
        done: word:
        let
          n = builtins.length done - 1;
          last = builtins.elemAt done n;
          join = sep: builtins.genList (builtins.elemAt done) n ++ [ "${last}${sep}${word}" ];
        in
        if n < 0 || hasPrefix "-" word then
          done ++ [ word ]
        else if builtins.elem last valued then
          join "="
        else if hasPrefix "--system-call-filter=" last then
          join " "
        else
          done ++ [ word ];
    in
    builtins.foldl' add [ ] (builtins.filter (w: w != "") (builtins.concatMap (split " ") texts));

  # A flag of systemd-nspawn that a key knows is that key, so that binds have
  # right owners.
  flagKey =
    flag:
    let
      value = prefix: after prefix flag;
      bind =
        isReadOnly: spec:
        let
          parts = split ":" spec;
          hostPath = builtins.head parts;
        in
        {
          bindMounts = [
            {
              inherit hostPath isReadOnly;
              mountPoint =
                if builtins.length parts == 1 then hostPath else builtins.concatStringsSep ":" (builtins.tail parts);
            }
          ];
        };
      # A colon that is part of a name has a backslash before it.
      plain = builtins.match ".*[\\].*" flag == null;
    in
    if hasPrefix "--bind=" flag && plain then
      bind false (value "--bind=")
    else if hasPrefix "--bind-ro=" flag && plain then
      bind true (value "--bind-ro=")
    else if hasPrefix "--drop-capability=" flag then
      { dropCapabilities = split "," (value "--drop-capability="); }
    else if hasPrefix "--capability=" flag then
      { additionalCapabilities = split "," (value "--capability="); }
    else if hasPrefix "--tmpfs=" flag then
      { tmpfs = [ (value "--tmpfs=") ]; }
    else if hasPrefix "--system-call-filter=" flag then
      { systemCallFilter = split " ," (value "--system-call-filter="); }
    else if flag == "-U" then
      { privateUsers = [ "pick" ]; }
    else if hasPrefix "--private-users=" flag then
      { privateUsers = [ (users (value "--private-users=")) ]; }
    else if flag == "--private-network" then
      { privateNetwork = [ true ]; }
    else if builtins.match "-j|--private-users-chown|--(private-users-ownership|link-journal)=.*" flag != null then
      { } # berth sees to owners, and reads guests' journals where they are
    else
      { extraFlags = [ flag ]; };

  # sum joins sets whose attributes are lists.
  sum = builtins.foldl' (a: b: a // builtins.mapAttrs (k: v: (a.${k} or [ ]) ++ v) b) { };
in
{
  inherit options;

  # render gives the keys of a container for what its options say: { keys;
  # warnings; refused; }. The latter two are lists of sentences, and each begins
  # with the name of an option.
  render =
    c:
    let
      get = name: default: if c ? ${name} && c.${name} != null then c.${name} else default;
      flags = sum (map flagKey (flagsOf (get "extraFlags" [ ])));
      private = get "privateNetwork" false || flags ? privateNetwork;
      # For systemd-nspawn each of these means a network of the guest's own.
      links =
        get "interfaces" [ ] != [ ] || get "macvlans" [ ] != [ ] || get "extraVeths" { } != { };
      given = builtins.filter (o: !isEmpty (c.${o} or null)) first;
      veth = private && builtins.filter (o: o != "forwardPorts") given != [ ];
      mounts = map mount (builtins.attrValues (get "bindMounts" { }) ++ flags.bindMounts or [ ]);
      noResolver = !(get "copyResolvConf" true);

      lists = builtins.mapAttrs (_: unique) (
        sum [
          {
            additionalCapabilities = get "additionalCapabilities" [ ];
            tmpfs = get "tmpfs" [ ];
            extraFlags = when (noResolver && !private && !links) "--resolv-conf=off";
          }
          (removeAttrs flags [
            "bindMounts"
            "privateNetwork"
            "privateUsers"
          ])
        ]
      );

      one =
        local: host:
        when (
          veth && !isEmpty (c.${local} or null) && isEmpty (c.${host} or null) && isEmpty (c.hostBridge or null)
        ) "${local}: nothing is opposite this address; give ${host} too, or hostBridge";
    in
    {
      keys = prune (
        builtins.listToAttrs (
          map (name: {
            inherit name;
            value = c.${name} or null;
          }) (same ++ (if private then first else [ ]))
        )
        // lists
        // {
          privateNetwork = private || links;
          # The last one counts, and flags come after the option's.
          privateUsers = builtins.foldl' (_: v: v) (users (get "privateUsers" "no")) (flags.privateUsers or [ ]);
          # Without a link, the original has a loopback interface alone.
          networks = if private && !links && !veth then [ "none" ] else null;
          extraVeths = get "extraVeths" { };
          bindMounts = builtins.listToAttrs (map (m: m.entry) mounts);
        }
      )
      # Nobody looks at a guest's system before it is asked for.
      // (if get "flake" null == null then { system = toString c.path; } else { inherit (c) flake; });

      warnings =
        map (o: "${o} has no effect without privateNetwork") (if private then [ ] else given)
        ++ when (
          noResolver && (private || links)
        ) "copyResolvConf has no effect with privateNetwork: the guest gets a resolver of its own network, never the host's file"
        ++ map (o: "${o} is not known to berth, and has no effect") (
          builtins.filter (o: !(builtins.elem o options) && o != "_module" && !isEmpty c.${o}) (
            builtins.attrNames c
          )
        );

      refused =
        builtins.concatMap (m: m.refused) mounts
        ++ when (
          get "networkNamespace" null != null && (private || links)
        ) "networkNamespace: the guest cannot join a network namespace and have a network of its own as well"
        ++ one "localAddress" "hostAddress"
        ++ one "localAddress6" "hostAddress6";
    };
}
