# The systems that tests and examples use. ./fetch has filled the directory
# debs with the packages of packages.txt, and nixDebs with nix-bin.
{ debs, nixDebs ? null }:
let
  base = import ./base.nix { inherit debs; };
  system = args: import ./system.nix ({ inherit base; } // args);

  page = version: derivation {
    name = "page-${version}";
    system = builtins.currentSystem;
    builder = "${base}/bin/bash";
    PATH = "${base}/bin";
    inherit version;
    args = [ "-euc" "mkdir $out; echo \"generation $version\" > $out/index.html; :" ];
  };
  web = version: ''
    [Unit]
    Description=Web server of generation ${version}
    After=network.target
    [Service]
    ExecStart=${base}/bin/busybox httpd -f -p 8080 -h ${page version}
    [Install]
    WantedBy=multi-user.target
  '';
  # A service that is the same in all generations.
  steady = ''
    [Service]
    ExecStart=${base}/bin/sleep infinity
    [Install]
    WantedBy=multi-user.target
  '';
  broken = ''
    [Service]
    Type=oneshot
    RemainAfterExit=yes
    ExecStart=${base}/bin/bash -c 'echo it cannot work >&2; exit 7'
    [Install]
    WantedBy=multi-user.target
  '';
  endless = ''
    [Service]
    Type=oneshot
    TimeoutStartSec=infinity
    ExecStart=${base}/bin/sleep infinity
    [Install]
    WantedBy=multi-user.target
  '';
  # Some are files, as patches and configuration are.
  package = n:
    let name = "package-${toString n}"; in
    if n < 300 then builtins.toFile name "${toString n}\n" else builtins.path { inherit name; path = ./scripts; };
in
{
  inherit base;
  # A Nix for hosts that have none.
  nix = import ./base.nix { debs = nixDebs; name = "debian-nix"; };
  one = system { version = "1"; units = { "web.service" = web "1"; "steady.service" = steady; }; };
  two = system {
    version = "2";
    units = { "web.service" = web "2"; "steady.service" = steady; "tick.service" = steady; };
    etc."motd" = "generation 2\n";
  };
  failing = system { version = "3"; units = { "web.service" = web "3"; "steady.service" = steady; "broken.service" = broken; }; };
  stuck = system { version = "4"; units = { "endless.service" = endless; }; };
  large = system { version = "5"; packages = builtins.genList package 1000; };
  spare = system { version = "6"; };
  # In no system: what a guest must not see.
  secret = derivation {
    name = "secret";
    system = builtins.currentSystem;
    builder = "${base}/bin/bash";
    args = [ "-euc" "echo secret > $out" ];
  };
}
