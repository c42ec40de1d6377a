# The closure of a system, in the shape that NixOS gives it: a guest with an
# empty root needs <system>/init and /nix/store, and nothing else. Everything
# here is built with the programs of base alone.
{ base
, version                        # what nixos-version says
, name ? "mini"                  # of the system
, system ? builtins.currentSystem
, units ? { }                    # name -> text; wanted by multi-user.target if it has an [Install] section
, etc ? { }                      # path below /etc -> text
, packages ? [ ]                 # store paths that the system refers to
, tools ? [ ]                    # store paths whose programs nix* are in its path
}:
let
  inherit (builtins) attrNames match;
  build = name: env: script: derivation ({
    inherit name base system;
    builder = "${base}/bin/bash";
    PATH = "${base}/bin";
    # Nix takes a builder whose last program closes its standard error for one that has ended.
    args = [ "-euc" "${script}\n:" ];
  } // env);
  write = name: mode: content:
    build name { inherit content; passAsFile = [ "content" ]; } "cp $contentPath $out; chmod ${mode} $out";

  # NixOS has each unit in a store path of its own, and links to them.
  unitPath = name: text:
    "${build "unit-${name}" { inherit text; passAsFile = [ "text" ]; } "mkdir $out; cp $textPath $out/${name}"}/${name}";
  wanted = builtins.filter (name: match ".*\\[Install].*" units.${name} != null) (attrNames units);
  systemUnits = build "system-units" {
    inherit wanted;
    stock = import ./stock.nix;
    links = map (name: unitPath name units.${name}) (attrNames units);
  } ''
    mkdir $out; cd $out
    for u in $stock; do ln -s $base/example/units/$u $u; done
    ln -s multi-user.target default.target
    ln -s reboot.target ctrl-alt-del.target
    ln -s dbus.service messagebus.service
    for l in $links; do ln -sfn $l ''${l##*/}; done
    want() { mkdir -p $1.wants; for u in ''${@:2}; do ln -s ../$u $1.wants/$u; done; }
    want sysinit.target systemd-journald.service systemd-journal-flush.service systemd-tmpfiles-setup.service
    want sockets.target systemd-journald.socket systemd-journald-dev-log.socket dbus.socket
    want timers.target systemd-tmpfiles-clean.timer
    want multi-user.target getty.target systemd-logind.service $wanted
  '';

  files = {
    "NIXOS" = "";
    "hostname" = "mini\n";
    "hosts" = "127.0.0.1 localhost mini\n::1 localhost mini\n";
    "nsswitch.conf" = "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\n";
    "os-release" = "ID=nixos\nNAME=\"Miniature NixOS\"\nPRETTY_NAME=\"Miniature NixOS ${version}\"\nVERSION_ID=\"${version}\"\n";
    "profile" = "export PATH=/run/wrappers/bin:/run/current-system/sw/bin\n";
    "systemd/journald.conf" = "[Journal]\nStorage=persistent\n";
    "pam.d/other" = "auth required ${base}/lib/security/pam_deny.so\naccount required ${base}/lib/security/pam_permit.so\nsession required ${base}/lib/security/pam_permit.so\n";
  } // etc;
  etcTree = build "etc" {
    paths = attrNames files;
    sources = map (p: write "etc-${builtins.replaceStrings [ "/" ] [ "-" ] p}" "444" files.${p}) (attrNames files);
    inherit systemUnits;
  } ''
    mkdir -p $out/etc/systemd $out/etc/tmpfiles.d; cd $out/etc
    ln -s $systemUnits systemd/system
    ln -s $base/lib/tmpfiles.d/* tmpfiles.d # not the directory: without a sandbox, files would go to the base
    set -- $sources
    for p in $paths; do mkdir -p $(dirname $p); ln -s $1 $p; shift; done
  '';
  sw = if tools == [ ] then base else build "sw" { inherit tools; } ''
    mkdir -p $out/bin; cd $out/bin
    ln -s $base/bin/* .
    for t in $tools; do ln -sf $t/bin/nix* .; done
  '';
in
build "nixos-system-${name}-${version}" {
  inherit version packages sw;
  etcTree = etcTree;
  scripts = builtins.path { path = ./scripts; name = "scripts"; };
} ''
  mkdir -p $out/bin
  for s in init activate bin/switch-to-configuration; do
    sed -e "s,@base@,$base,g" -e "s,@out@,$out,g" $scripts/''${s##*/} > $out/$s
    chmod 555 $out/$s
  done
  ln -s init $out/prepare-root
  ln -s $etcTree/etc $out/etc
  ln -s $sw $out/sw
  ln -s $base $out/systemd
  printf %s "$version" > $out/nixos-version
  printf %s ${system} > $out/system
  printf %s "systemd 252" > $out/init-interface-version
  printf '%s\n' $packages > $out/extra-dependencies
''
