# A switch of the host changes a guest in place, and restarts it only where what
# is around it has changed.
{
  nodes.machine =
    { lib, ... }:
    let
      web = page: {
        autoStart = true;
        privateNetwork = true;
        config = {
          services.nginx.enable = true;
          services.nginx.virtualHosts.localhost.locations."/".return = "200 '${page}'";
          networking.firewall.allowedTCPPorts = [ 80 ];
          system.stateVersion = "24.11";
        };
      };
    in
    {
      system.switch.enable = true;
      services.berth.containers.web = lib.mkDefault (web "one");
      specialisation.two.configuration.services.berth.containers.web = web "two";
      specialisation.three.configuration.services.berth.containers.web = web "two" // {
        limits.memoryMax = "512M";
        tmpfs = [ "/scratch" ];
      };
      specialisation.none.configuration.services.berth = {
        enable = true;
        containers = lib.mkForce { };
      };
    };

  testScript = ''
    def boot_id():
        return machine.succeed("berth exec web -- cat /proc/sys/kernel/random/boot_id; berth status web --json | grep -o '\"leader\": *[0-9]*'")

    def switch(to):
        machine.succeed(f"/run/booted-system/specialisation/{to}/bin/switch-to-configuration test")

    def answers(page):
        machine.wait_until_succeeds(f"berth exec web -- curl -fs http://localhost | grep {page}")

    machine.wait_for_unit("berth-apply.service")
    answers("one")
    before = boot_id()

    switch("two")
    answers("two")
    assert boot_id() == before, "the guest was restarted"

    switch("three")
    answers("two")
    assert boot_id() != before, "the guest was not restarted"
    machine.succeed("berth exec web -- sh -c 'echo kept >/root/file'")

    with subtest("a container that is no longer declared stops, and keeps its data"):
        switch("none")
        machine.fail("systemctl is-active berth@web.service")
        machine.succeed("berth start web && berth exec web -- grep kept /root/file")
  '';
}
