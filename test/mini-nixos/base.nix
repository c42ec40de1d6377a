# One store path with programs of Debian's packages, all of whose references
# lead into itself: interpreters, libraries, scripts and units. The builder is
# the machine's own shell with dpkg-deb and patchelf, so Nix's sandbox is off.
{ debs, name ? "debian-base" }:
derivation {
  inherit name;
  system = builtins.currentSystem;
  debs = builtins.path { path = debs; name = "debs"; };
  builder = "/bin/sh";
  PATH = "/usr/bin:/bin";
  args = [ "-eu" ./base.sh ];
}
