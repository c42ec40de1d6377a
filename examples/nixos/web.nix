# A NixOS system: a web server whose socket stays open while it restarts, and a
# service that has nothing to do with it.
{ pkgs, ... }:
{
  imports = [ ];

  systemd.sockets.web = {
    listenStreams = [ "8080" ];
    wantedBy = [ "sockets.target" ];
  };
  systemd.services.web = {
    description = "Web server";
    stopIfChanged = false; # restarted at once, not stopped first and started at the end
    serviceConfig.ExecStart = "${pkgs.perl}/bin/perl ${./serve.pl} ${./page.html}";
    wantedBy = [ "multi-user.target" ];
  };

  systemd.services.steady = {
    description = "What no update touches";
    serviceConfig.ExecStart = "${pkgs.coreutils}/bin/sleep infinity";
    wantedBy = [ "multi-user.target" ];
  };

  networking.firewall.allowedTCPPorts = [ 8080 ];
  system.stateVersion = "24.11";
}
