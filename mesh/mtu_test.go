package mesh

import (
	"net/netip"
	"testing"
)

func TestTheMTUIsThatOfThePathThatTakesLeast(t *testing.T) {
	peer := func(i, path, says int, change ...func(*Host)) Host {
		h := testHost(i)
		h.Path, h.MTU = path, says
		for _, f := range change {
			f(&h)
		}
		return h
	}
	gone := func(h *Host) { h.Liveness = Left }
	silent := func(h *Host) { h.Liveness = Failed }
	for _, c := range []struct {
		name  string
		peers []Host
		keep  Keep
		mtu   int // of the underlay
		by    string
	}{
		{"no peers", nil, nil, 1500, ""},
		{"nothing is known yet", []Host{peer(2, 0, 0), peer(3, 0, 0)}, nil, 1500, ""},
		{"all paths take what the NIC does", []Host{peer(2, 1500, 1500), peer(3, 1500, 1500)}, nil, 1500, ""},
		{"one takes less", []Host{peer(2, 1500, 1500), peer(3, 1400, 1500)}, nil, 1400, "h3"},
		{"a peer has a path of less", []Host{peer(2, 1500, 1400), peer(3, 1500, 1500)}, nil, 1400, "h2"},
		{"an own path is named before a peer's", []Host{peer(2, 1500, 1400), peer(3, 1400, 1400)}, nil, 1400, "h3"},
		{"all leave by a jumbo NIC that is not the address's", []Host{peer(2, 9000, 9000), peer(3, 9000, 9000)}, nil, 9000, ""},
		{"a new peer changes nothing until its path is known", []Host{peer(2, 9000, 9000), peer(3, 0, 0)}, nil, 9000, ""},
		{"a jumbo mesh with one that is none", []Host{peer(2, 9000, 1500), peer(3, 1500, 1500)}, nil, 1500, ""},
		{"one that has left does not count", []Host{peer(2, 1400, 1400, gone)}, nil, 1500, ""},
		{"one that is silent counts while it keeps its tunnel", []Host{peer(2, 1400, 0, silent)}, Keep{testHost(2).ID: true}, 1400, "h2"},
		{"and no longer", []Host{peer(2, 1400, 0, silent)}, nil, 1500, ""},
		{"nonsense is not believed", []Host{peer(2, 1500, 68)}, nil, 1500, ""},
	} {
		mtu, by := testConfig().MTU(testView(c.peers...), c.keep)
		if mtu != c.mtu-38 || by != c.by {
			t.Errorf("%s: %d by %q, want %d by %q", c.name, mtu, by, c.mtu-38, c.by)
		}
	}
}

func TestOverheadIsThatOfTheLongestHeaders(t *testing.T) {
	v4, v6 := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	for _, c := range []struct {
		tunnel         TunnelConfig
		overV4, overV6 int // docs/decisions/0011-ipv6-underlay.md
	}{
		{TunnelConfig{Type: "gre"}, 38, 58},
		{TunnelConfig{Type: "gre", Key: 7}, 42, 62},
		{TunnelConfig{Type: "vxlan", Key: 7}, 50, 70},
		{TunnelConfig{Type: "gre", Fallback: []string{"geneve"}}, 50, 70},
	} {
		if four, six := c.tunnel.Overhead(v4), c.tunnel.Overhead(v6); four != c.overV4 || six != c.overV6 {
			t.Errorf("%+v: %d and %d, want %d and %d", c.tunnel, four, six, c.overV4, c.overV6)
		}
	}
}
