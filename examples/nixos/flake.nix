# The container of berth.yaml, with nixpkgs:
#
#     berth apply -f flake.nix
#     $EDITOR page.html && berth apply -f flake.nix     # in place
#     berth generations web && berth rollback web
#
# In a repository of Git a flake sees the files that Git knows.
{
  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-24.11";

  outputs = { self, nixpkgs }: {
    berthContainers.web = {
      config = ./web.nix;
      inherit nixpkgs;
      privateNetwork = true;
      forwardPorts = [ { hostPort = 18081; containerPort = 8080; } ];
      healthCheck.http = "http://localhost:8080/";
      healthTimeout = "20s";
    };
  };
}
