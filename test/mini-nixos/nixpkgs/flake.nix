{
  description = "Miniature NixOS, in the place of nixpkgs";
  outputs = { self }: {
    lib.nixosSystem = { modules, system ? "x86_64-linux", specialArgs ? { } }: import ./nixos/eval.nix { inherit modules system specialArgs; };
  };
}
