# The options virtualisation.nspawn.containers.<name> of nixos-nspawn as keys of
# berth. Settings of systemd-networkd are read as far as they say addresses.
let
  inherit (import ./values.nix)
    isEmpty
    keep
    prune
    quoted
    split
    when
    ;

  list =
    v:
    if v == null then
      [ ]
    else if builtins.isList v then
      v
    else
      [ v ];

  # settings of one side of the link that berth has in any case: they say
  # nothing else than what it does.
  implied = [
    "DHCP"
    "DHCPServer"
    "EmitLLDP"
    "IPMasquerade"
    "IPv6AcceptRA"
    "IPv6DuplicateAddressDetection"
    "IPv6SendRA"
    "LLDP"
    "LinkLocalAddressing"
    "MulticastDNS"
  ];

  is6 = a: builtins.match ".*:.*" a != null;
  bare = a: builtins.head (split "/" a);

  # side reads the settings of one side: its addresses and gateways, and the
  # names of what is beyond that.
  side =
    config:
    let
      c = if config == null then { } else config;
      n = c.networkConfig or { };
      named = prefix: builtins.concatMap (k: when (!isEmpty c.${k}) "${prefix}${k}");
    in
    {
      addresses = list (c.address or null) ++ list (n.Address or null);
      gateways = list (c.gateway or null) ++ list (n.Gateway or null);
      other =
        named "" (
          builtins.filter (
            k:
            !(builtins.elem k [
              "address"
              "enable"
              "gateway"
              "networkConfig"
            ])
          ) (builtins.attrNames c)
        )
        ++ map (k: "networkConfig.${k}") (
          builtins.filter (
            k:
            !(builtins.elem k (
              implied
              ++ [
                "Address"
                "Gateway"
              ]
            ))
          ) (builtins.attrNames n)
        );
    };

  family = six: builtins.filter (a: is6 a == six);
in
{
  # options are the names of those that render knows.
  options = [
    "autoStart"
    "binds"
    "config"
    "network"
    "path"
    "restartIfChanged"
  ];

  # render gives the keys for what the options say, as that of containers.nix.
  render =
    c:
    let
      veth = c.network.veth;
      zone = veth.zone or null;
      host = side (veth.config.host or null);
      guest = side (veth.config.container or null);
      known = [
        "idmap"
        "rbind"
      ];
      # The store is what the guest's system gives.
      binds = keep (p: _: p != "/nix/store") (c.binds or { });
      strange =
        point:
        let
          other = builtins.filter (o: !(builtins.elem o known)) (binds.${point}.options or [ ]);
        in
        when (
          other != [ ]
        ) "binds.\"${point}\".options: berth has no ${quoted other}; owners are the same numbers on both sides";
      pair =
        six:
        let
          h = family six host.addresses;
          g = family six guest.addresses;
          suffix = if six then "6" else "";
          first = l: if l == [ ] then null else builtins.head l;
        in
        {
          keys = {
            "hostAddress${suffix}" = first h;
            "localAddress${suffix}" = first g;
          };
          refused =
            when (
              builtins.length h > 1 || builtins.length g > 1
            ) "network.veth.config: a link has one IPv${if six then "6" else "4"} address on each side"
            ++
              when (zone != null && h != [ ])
                "network.veth.config.host: the addresses of a zone are those of its network; say services.berth.networks.${zone}.subnet${suffix}"
            ++
              when (builtins.any (w: map bare h != [ (bare w) ]) (family six guest.gateways) && zone == null)
                "network.veth.config.container: the guest's gateway is the host's address on the link";
        };
      four = pair false;
      six = pair true;
      beyond =
        where: other:
        when (
          other != [ ]
        ) "network.veth.config.${where}: berth sets the link up itself, and does not know ${quoted other}";
      linked = veth.enable or true;
    in
    {
      keys = prune (
        {
          autoStart = c.autoStart or true;
          restartIfChanged = c.restartIfChanged or true;
          ephemeral = true;
          privateUsers = "pick";
          privateNetwork = true;
          networks = if linked then null else [ "none" ];
          bindMounts = builtins.mapAttrs (point: b: {
            hostPath = if b.hostPath or null == null then point else b.hostPath;
            isReadOnly = b.readOnly or false;
          }) binds;
        }
        // (if linked then { inherit zone; } // four.keys // six.keys else { })
      )
      # Nobody looks at a guest's system before it is asked for.
      // {
        system = toString c.path;
      };
      warnings = [ ];
      refused =
        builtins.concatMap strange (builtins.attrNames binds)
        ++ (
          if linked then
            four.refused ++ six.refused ++ beyond "host" host.other ++ beyond "container" guest.other
          else
            [ ]
        );
    };
}
