package firewall

import (
	"testing"

	"github.com/google/nftables"
)

// TestTools makes the chains of each tool in the kernel.
func TestTools(t *testing.T) {
	t.Parallel()
	for want, c := range map[Tool]struct{ table, chain string }{
		Docker: {"filter", "DOCKER-USER"}, Firewalld: {"firewalld", "filter_FORWARD"}, UFW: {"filter", "ufw-user-forward"}, NixOS: {"nixos-fw", "input"}, "": {"filter", "FORWARD"},
	} {
		inNetwork(t, func() {
			conn, err := nftables.New()
			if err != nil {
				t.Error(err)
				return
			}
			table := conn.AddTable(&nftables.Table{Family: nftables.TableFamilyINet, Name: c.table})
			conn.AddChain(&nftables.Chain{Name: c.chain, Table: table})
			if err := conn.Flush(); err != nil {
				t.Error(err)
				return
			}
			got, err := Tools()
			if err != nil || want != "" && !got[want] || want == "" && len(got) > 0 {
				t.Errorf("%q: %v, %v", want, got, err)
			}
		})
	}
}
