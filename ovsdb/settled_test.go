package ovsdb

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// randomTunnel is one of few, so that they meet each other in every way.
func randomTunnel(t *rapid.T) Tunnel {
	n := rapid.IntRange(1, 6).Draw(t, "peer")
	tunnel := Tunnel{
		Name: fmt.Sprintf("gre%d", n), Type: "gre", BFD: rapid.IntRange(0, 9).Draw(t, "bfd") > 0,
		Remote: netip.AddrFrom4([4]byte{192, 0, 2, byte(n)}), Local: netip.MustParseAddr("192.0.2.99"),
		Peer: Peer{ID: fmt.Sprintf("id%d", n), Name: fmt.Sprintf("h%d", n)},
	}
	if rapid.IntRange(0, 9).Draw(t, "mac") > 0 {
		tunnel.MAC = MAC{2, 0x42, 172, 17, byte(n), 1}
	}
	if other := rapid.IntRange(0, 20).Draw(t, "other remote"); other < 7 {
		tunnel.Remote = netip.AddrFrom4([4]byte{192, 0, 2, byte(other)})
	}
	if rapid.IntRange(0, 9).Draw(t, "vxlan") == 0 {
		tunnel.Type = "vxlan"
	}
	return tunnel
}

func randomPort(t *rapid.T, tunnel Tunnel) Port {
	often := func(what string) bool { return rapid.IntRange(0, 9).Draw(t, what) > 0 }
	p := Port{
		Tunnel: tunnel, Bridge: "br0", Interfaces: []string{tunnel.Name}, Ours: often("ours"), Protected: often("protected"),
		Adopted: !often("adopted"), OfPort: rapid.SampledFrom([]int{1, 1, 1, 1, 0, -1}).Draw(t, "ofport"), uuid: tunnel.Name, iface: tunnel.Name,
	}
	if p.Ours {
		p.Mesh = "blue"
	}
	if !often("elsewhere") {
		p.Bridge = "br1"
	}
	if !often("waits") {
		p.Mesh, p.Peer.ID = "", ""
	}
	if !often("bond") {
		p.Interfaces = []string{"eth8", "gre5"}
	}
	if !often("unreadable") {
		p.Unreadable = map[string]string{"options:key": "flow"}
	}
	return p
}

func TestWhatIsSettledMakesNoDifference(t *testing.T) {
	unexported := cmp.Options{
		cmp.AllowUnexported(Change{}, reference{}, referrer{}, entry{}, portEvent{}), cmpopts.EquateEmpty(), cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{}),
	}
	rapid.Check(t, func(t *rapid.T) {
		want := Spec{Bridge: "br0", Mesh: "blue"}
		have := State{Bridge: Bridge{Name: "br0", Exists: true, Ours: true, Mesh: "blue", FailMode: standalone, OfPort: 1}}
		have.Ports = append(have.Ports, Port{Tunnel: Tunnel{Name: "br0"}, Bridge: "br0", Interfaces: []string{"br0"}})
		names := make(map[string]bool)
		for range rapid.IntRange(0, 6).Draw(t, "tunnels") {
			tunnel := randomTunnel(t)
			if names[tunnel.Name] {
				continue
			}
			names[tunnel.Name] = true
			if rapid.IntRange(0, 5).Draw(t, "wanted") > 0 {
				want.Tunnels = append(want.Tunnels, tunnel)
			}
			switch rapid.IntRange(0, 5).Draw(t, "there") {
			case 0:
			case 1:
				have.Ports = append(have.Ports, randomPort(t, tunnel))
			case 2:
				other := tunnel
				other.Name = "hand" + tunnel.Name
				have.Ports = append(have.Ports, randomPort(t, other))
			default:
				have.Ports = append(have.Ports, Port{
					Tunnel: tunnel, Bridge: "br0", Mesh: "blue", Ours: true, Protected: true, OfPort: 1, Interfaces: []string{tunnel.Name},
				})
			}
		}
		if rapid.IntRange(0, 3).Draw(t, "asked") > 0 {
			have.Static = make(map[MAC]int)
			for i := range have.Ports {
				p := &have.Ports[i]
				if p.OfPort > 0 {
					p.OfPort = i + 1
				}
				if rapid.IntRange(0, 9).Draw(t, "entry") > 0 && p.MAC != (MAC{}) {
					have.Static[p.MAC] = i + 1
				}
				if rapid.IntRange(0, 9).Draw(t, "stray") == 0 {
					have.Static[MAC{2, 0x42, 172, 17, byte(rapid.IntRange(1, 9).Draw(t, "of")), 1}] = i + 1
				}
				p.MAC = MAC{} // it is in no column
			}
		}
		slices.SortFunc(have.Ports, func(a, b Port) int { return strings.Compare(a.Name, b.Name) })
		if d := cmp.Diff(diff(want, have), Diff(want, have), unexported); d != "" {
			t.Errorf("with all of it (-), without what is settled (+):\n%s", d)
		}
		if d := cmp.Diff(conflicts(want, have), Conflicts(want, have), unexported); d != "" {
			t.Errorf("conflicts with all of it (-), without what is settled (+):\n%s", d)
		}
	})
}
