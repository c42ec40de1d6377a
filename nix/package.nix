# berth as a package of nixpkgs: the program, its units, completions and manual.
{
  lib,
  buildGoModule,
  version ? "unstable",
}:
buildGoModule {
  pname = "berth";
  inherit version;
  src = lib.cleanSource ../.;

  # Of what `go mod vendor` makes; the tests say so when it has changed.
  vendorHash = lib.fileContents ./vendor.hash;

  subPackages = [ "cmd/berth" ];
  ldflags = [
    "-s"
    "-w"
    "-X github.com/berth-containers/berth/internal/cli.release=${version}"
  ];

  # Neither of the attributes that have stood for it is known to every nixpkgs.
  preBuild = "export CGO_ENABLED=0";

  # The suites need root, containers and a network.
  doCheck = false;

  postInstall = ''
    go run ./packaging -stage "$TMPDIR/stage" -program "$out/bin/berth"
    mkdir -p "$out/lib/systemd/system" "$out/share/man/man1" \
      "$out/share/bash-completion/completions" "$out/share/zsh/site-functions" "$out/share/fish/vendor_completions.d"
    cp "$TMPDIR"/stage/units/* "$out/lib/systemd/system"
    cp "$TMPDIR"/stage/man/* "$out/share/man/man1"
    cp "$TMPDIR/stage/completions/berth" "$out/share/bash-completion/completions"
    cp "$TMPDIR/stage/completions/_berth" "$out/share/zsh/site-functions"
    cp "$TMPDIR/stage/completions/berth.fish" "$out/share/fish/vendor_completions.d"
  '';

  meta = {
    description = "Full-system Linux containers from one declaration, on systemd-nspawn";
    homepage = "https://github.com/berth-containers/berth";
    license = lib.licenses.asl20;
    mainProgram = "berth";
    platforms = lib.platforms.linux;
  };
}
