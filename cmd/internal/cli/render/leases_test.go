package render

import (
	"net/netip"
	"testing"
	"time"

	"github.com/gremesh/gremesh/mesh"
)

func TestRenderLeases(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	lease := func(i byte, state, host string, since, seen time.Duration) mesh.Lease {
		return mesh.Lease{
			Subnet: netip.PrefixFrom(netip.AddrFrom4([4]byte{172, 17, 41 + i, 0}), 24), Name: "h" + string('0'+i), State: state, Host: host,
			Underlay: netip.AddrFrom4([4]byte{192, 168, 248, 138 + i}), Since: now.Add(-since), LastSeen: now.Add(-seen),
		}
	}
	leases := []mesh.Lease{
		lease(1, "held", "alive", 49*time.Hour, 0),
		lease(2, "renumbering", "alive", time.Hour, 0),
		lease(3, "claiming", "alive", 30*time.Second, 0),
		lease(4, "held", "failed", 100*time.Hour, 90*time.Minute),
		lease(5, "expired", "failed", 200*time.Hour, 73*time.Hour),
		lease(6, "left", "left", 2*time.Hour, time.Minute),
		lease(7, "held", "alive", time.Minute, 0),
	}
	leases[6].Lost = true
	golden(t, "leases.txt", Leases(leases, now, false))
	golden(t, "leases_none.txt", Leases(nil, now, false))
}
