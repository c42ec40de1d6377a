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
  # One whose socket stays open while it is restarted, so that a client only waits.
  doorSocket = ''
    [Socket]
    ListenStream=8081
    [Install]
    WantedBy=sockets.target
  '';
  door = version: ''
    [Unit]
    X-StopIfChanged=false
    [Service]
    ExecStart=${base}/bin/perl ${./scripts/door} ${version}
  '';
  common = version: { "web.service" = web version; "steady.service" = steady; "door.socket" = doorSocket; "door.service" = door version; };
  # A service that is the same in all generations, with mounts of its own.
  steady = ''
    [Service]
    PrivateMounts=yes
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
  crash = ''
    [Service]
    ExecStart=${base}/bin/bash -c 'echo it ends >&2; exit 3'
    Restart=always
    RestartSec=1min
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
  # A guest with a Nix of its own, and its daemon.
  private = version: more: system {
    inherit version;
    tools = [ nix ];
    units = common version // more // {
      "nix-daemon.socket" = ''
        [Unit]
        ConditionPathIsReadWrite=/nix/var/nix/daemon-socket
        [Socket]
        ListenStream=/nix/var/nix/daemon-socket/socket
        [Install]
        WantedBy=sockets.target
      '';
      "nix-daemon.service" = ''
        [Unit]
        RequiresMountsFor=/nix/store
        [Service]
        ExecStart=${nix}/bin/nix-daemon
        KillMode=process
      '';
    };
    etc."nix/nix.conf" = "build-users-group = nixbld\nsandbox = true\nbuild-hook = ${nix}/libexec/nix/build-remote\nsubstituters =\nexperimental-features = nix-command flakes\n";
  };
  # A Nix for hosts that have none, and for guests.
  nix = import ./base.nix { debs = nixDebs; name = "debian-nix"; };
  # Some are files, as patches and configuration are.
  package = n:
    let name = "package-${toString n}"; in
    if n < 300 then builtins.toFile name "${toString n}\n" else builtins.path { inherit name; path = ./scripts; };
in
{
  inherit base;
  inherit nix;
  one = system { version = "1"; units = common "1"; };
  two = system {
    version = "2";
    units = common "2" // { "tick.service" = steady; };
    etc."motd" = "generation 2\n";
  };
  failing = system { version = "3"; units = common "3" // { "broken.service" = broken; }; };
  stuck = system { version = "4"; units = { "endless.service" = endless; }; };
  crashing = system { version = "7"; units = common "7" // { "crash.service" = crash; }; };
  private = private "9" { };
  private2 = private "10" { };
  privateFailing = private "11" { "broken.service" = broken; };
  large = system { version = "5"; packages = builtins.genList package 1000; };
  spare = system { version = "6"; };
  remnant = system { version = "8"; };
  # In no system: what a guest must not see.
  secret = derivation {
    name = "secret";
    system = builtins.currentSystem;
    builder = "${base}/bin/bash";
    args = [ "-euc" "echo secret > $out" ];
  };
}
