package bridge

import (
	"net"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/vishvananda/netlink"
)

func TestForeignTunnelsAreThoseOfOtherPrograms(t *testing.T) {
	up := func(name string) netlink.LinkAttrs { return netlink.LinkAttrs{Name: name, Flags: net.FlagUp} }
	remote := net.ParseIP("192.0.2.7")
	got := foreignTunnels([]netlink.Link{
		&netlink.Device{LinkAttrs: up("eth0")},
		&netlink.Gretap{LinkAttrs: up("gre_sys"), FlowBased: true},
		&netlink.Vxlan{LinkAttrs: up("vxlan_sys_4789"), FlowBased: true},
		&netlink.Gretap{LinkAttrs: netlink.LinkAttrs{Name: "gretap0"}},
		&netlink.Gretap{LinkAttrs: up("site"), Remote: remote},
		&netlink.Gretun{LinkAttrs: up("any"), Remote: net.IPv4zero},
		&netlink.Vxlan{LinkAttrs: up("group"), Group: net.ParseIP("239.1.1.1")},
		&netlink.Vxlan{LinkAttrs: up("pair"), Group: remote},
		&netlink.Geneve{LinkAttrs: up("gnv"), Remote: remote},
		&netlink.GenericLink{LinkAttrs: up("erspan1"), LinkType: "erspan"},
	})
	addr := netip.MustParseAddr("192.0.2.7")
	want := []Tunnel{
		{"site", "gre", addr}, {"any", "gre", netip.Addr{}}, {"group", "vxlan", netip.Addr{}},
		{"pair", "vxlan", addr}, {"gnv", "geneve", addr}, {"erspan1", "gre", netip.Addr{}},
	}
	if d := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{})); d != "" {
		t.Error(d)
	}
}
