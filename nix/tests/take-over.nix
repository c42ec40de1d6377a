# containers.<name>, as NixOS knows them, and one line that has berth run them.
{
  nodes.machine = {
    services.berth.takeOverContainers = true;
    services.berth.containers.web.limits.memoryMax = "512M";
    containers.web = {
      autoStart = true;
      ephemeral = true;
      privateNetwork = true;
      hostAddress = "10.231.136.1";
      localAddress = "10.231.136.2";
      forwardPorts = [ { hostPort = 8080; containerPort = 80; } ];
      bindMounts."/srv".hostPath = "/etc/berth";
      config = {
        services.nginx.enable = true;
        services.nginx.virtualHosts.localhost.locations."/".return = "200 'from berth'";
        networking.firewall.allowedTCPPorts = [ 80 ];
        system.stateVersion = "24.11";
      };
    };
  };

  testScript = ''
    machine.wait_for_unit("berth-apply.service")
    machine.wait_until_succeeds("curl -fs http://10.231.136.2 | grep 'from berth'")
    machine.succeed("curl -fs http://localhost:8080 | grep 'from berth'")
    machine.fail("test -e /etc/systemd/system/container@web.service")
    machine.succeed("systemctl is-active berth@web.service")
    machine.succeed("berth exec web -- test -e /srv/berth.yaml -o -e /srv/containers")
    machine.succeed("getent hosts web.containers | grep 10.231.136.2")

    with subtest("the guest boots without units that failed or timed out"):
        machine.succeed("berth exec web -- systemctl is-system-running --wait")

    with subtest("it comes back with the host"):
        machine.shutdown()
        machine.start()
        machine.wait_until_succeeds("curl -fs http://localhost:8080 | grep 'from berth'")
  '';
}
