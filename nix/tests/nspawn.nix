# virtualisation.nspawn.containers of nixos-nspawn: its example of a static
# network, and of a proxy on the host.
{
  nodes.machine = {
    services.nginx = {
      enable = true;
      virtualHosts."_".locations."/".proxyPass = "http://192.168.42.2";
    };
    virtualisation.nspawn.containers.backend = {
      config = {
        networking.firewall.allowedTCPPorts = [ 80 ];
        services.nginx = {
          enable = true;
          virtualHosts.backend.locations."/".return = "200 'hack the planet'";
        };
        system.stateVersion = "24.11";
      };
      network.veth.config = {
        host.networkConfig = {
          DHCPServer = false;
          Address = [
            "fc42::1/64"
            "192.168.42.1/24"
          ];
        };
        container.networkConfig = {
          DHCP = false;
          Address = [
            "fc42::2/64"
            "192.168.42.2/24"
          ];
          Gateway = [
            "fc42::1"
            "192.168.42.1"
          ];
        };
      };
    };
  };

  testScript = ''
    machine.wait_for_unit("berth-apply.service")
    machine.wait_for_unit("nginx.service")
    machine.wait_until_succeeds("curl -fs http://localhost | grep 'hack the planet'")
    machine.succeed("ping -c 1 fc42::2")
    machine.succeed("machinectl shell backend /bin/sh -c 'test $(id -u) = 0'")
  '';
}
