package bridge

import (
	"net"
	"net/netip"
	"slices"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
)

func TestGretapsOfOthersAreThoseThatTakeSomething(t *testing.T) {
	up := func(name string) netlink.LinkAttrs { return netlink.LinkAttrs{Name: name, Flags: net.FlagUp} }
	any4, h1, h2 := net.IPv4zero.To4(), net.IP{10, 90, 0, 1}, net.IP{10, 90, 0, 2}
	got := gretaps([]netlink.Link{
		&netlink.Gretap{LinkAttrs: up("gre_sys"), FlowBased: true, Local: any4, Remote: any4},
		&netlink.Gretap{LinkAttrs: up("gretap0"), Local: any4, Remote: any4},
		&netlink.Gretap{LinkAttrs: netlink.LinkAttrs{Name: "down"}, Local: h1, Remote: h2},
		&netlink.Veth{LinkAttrs: up("veth")},
		&netlink.Gretap{LinkAttrs: up("pair"), Local: h1, Remote: h2},
		&netlink.Gretap{LinkAttrs: up("keyed"), Local: any4, Remote: h2, IFlags: nl.GRE_KEY, OKey: 7},
		&netlink.Gretap{LinkAttrs: up("anywhere"), Local: any4, Remote: any4, IFlags: nl.GRE_KEY, OKey: 8},
	})
	from, to := netip.MustParseAddr("10.90.0.1"), netip.MustParseAddr("10.90.0.2")
	want := []Gretap{{Name: "pair", Local: from, Remote: to}, {Name: "keyed", Remote: to, Keyed: true, Key: 7}, {Name: "anywhere", Keyed: true, Key: 8}}
	if !slices.Equal(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
}
