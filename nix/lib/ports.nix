# The ports of the host that containers may use, for the host's own firewall.
let
  inherit (import ./values.nix) split unique;
in
{
  # allowed are the ports that the values of allowHost name: { all; tcp; udp; },
  # the latter as lists of { from; to; }.
  allowed =
    values:
    let
      read =
        v:
        let
          parts = split "/" (toString v);
          protocol = if builtins.length parts == 1 then "tcp" else builtins.head parts;
          ends = map builtins.fromJSON (split "-" (builtins.elemAt parts (builtins.length parts - 1)));
        in
        {
          inherit protocol;
          range = {
            from = builtins.head ends;
            to = builtins.elemAt ends (builtins.length ends - 1);
          };
        };
      ports = map read (builtins.filter (v: v != "all") values);
      of = p: unique (map (x: x.range) (builtins.filter (x: x.protocol == p) ports));
    in
    {
      all = builtins.elem "all" values;
      tcp = of "tcp";
      udp = of "udp";
    };
}
