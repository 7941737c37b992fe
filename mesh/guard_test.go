package mesh

import (
	"net/netip"
	"slices"
	"testing"
)

// TestGuardProtectsMembersWithoutASubnet: containers must not reach any member's
// tunnels and gossip, while only a holder of a subnet may send from it.
func TestGuardProtectsMembersWithoutASubnet(t *testing.T) {
	taken, joining, left := testHost(3), testHost(4), testHost(5)
	taken.Subnet, joining.Subnet, left.Liveness = netip.Prefix{}, netip.Prefix{}, Left
	desired, _ := Plan(testConfig(), testView(testHost(2), taken, joining, left), nil)
	guard := desired.NAT.Guard
	want := []netip.Addr{testHost(1).Underlay, testHost(2).Underlay, taken.Underlay, joining.Underlay}
	if !slices.Equal(guard.Hosts, want) {
		t.Errorf("hosts %v, want %v", guard.Hosts, want)
	}
	for _, s := range guard.Sources {
		if s.Net != testHost(2).Subnet && s.Net != hostPrefix(testHost(2).Underlay) {
			t.Errorf("%s may come out of tunnels", s)
		}
	}
}
