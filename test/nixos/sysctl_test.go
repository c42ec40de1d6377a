package nixos

import "testing"

// TestGuestSysctl looks at settings of the kernel that a guest makes at its
// boot: a user namespace has 65536 groups, and NixOS names more.
func TestGuestSysctl(t *testing.T) {
	t.Parallel()
	var got struct{ Guest, Own string }
	evaluate(t, `let
	  seen = config: (host { services.berth.containers.c = { inherit config; }; }).services.berth.containers.c.config.boot.kernel.sysctl."net.ipv4.ping_group_range";
	in {
	  guest = seen { };
	  own = seen { boot.kernel.sysctl."net.ipv4.ping_group_range" = "0 100"; };
	}`, &got)
	if got.Guest != "0 65535" || got.Own != "0 100" {
		t.Errorf("%+v", got)
	}
}
