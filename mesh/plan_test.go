package mesh

import (
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gremesh/gremesh/bridge"
	"github.com/gremesh/gremesh/bridge/filter"
	"github.com/gremesh/gremesh/mesh/lease"
	"github.com/gremesh/gremesh/ovsdb"
)

var update = flag.Bool("update", false, "write the golden files anew")

func testConfig() Config {
	return Config{
		Space:  lease.Pool{Prefix: netip.MustParsePrefix("172.17.0.0/16"), Bits: 24},
		Switch: "br0", Bridge: "docker0", UnderlayMTU: 1500, PeerGrace: 10 * time.Minute,
		Tunnel: TunnelConfig{Type: "gre", BFD: true, Retry: time.Hour}, Flood: true,
		NAT: filter.FileState{Read: true},
	}
}

// testHost is host i: 192.168.248.(138+i), 172.17.(41+i).0/24.
func testHost(i int) Host {
	return Host{
		ID: lease.ID{byte(i)}, Name: fmt.Sprintf("h%d", i), Liveness: Alive,
		Underlay: netip.AddrFrom4([4]byte{192, 168, 248, byte(138 + i)}),
		Subnet:   netip.PrefixFrom(netip.AddrFrom4([4]byte{172, 17, byte(41 + i), 0}), 24),
	}
}

func testView(peers ...Host) View {
	return View{Mesh: "4d35", Self: testHost(1), Peers: peers}
}

// Each plan is shown as the commands that make a bare machine into it.
func TestPlan(t *testing.T) {
	keyed := testConfig()
	keyed.Tunnel.Key = 7
	vxlan := testConfig()
	vxlan.Tunnel = TunnelConfig{Type: "vxlan", Key: 7}
	perPeer := testConfig()
	perPeer.PerPeer, perPeer.Flood = true, false
	direct := perPeer
	direct.UnderlayLink = "eth0"
	onOurs, onAnother := testView(testHost(2), testHost(3), testHost(4)), testHost(3)
	onOurs.Self.Direct = netip.MustParsePrefix("192.168.248.0/24")
	onOurs.Peers[0].Direct = onOurs.Self.Direct
	onAnother.Direct = netip.MustParsePrefix("192.168.249.0/24")
	onOurs.Peers[1] = onAnother
	sameUnderlay := testHost(3)
	sameUnderlay.Underlay = testHost(2).Underlay
	for name, c := range map[string]struct {
		cfg  Config
		view View
	}{
		"alone":        {testConfig(), testView()},
		"three-hosts":  {testConfig(), testView(testHost(3), testHost(2))},
		"key":          {keyed, testView(testHost(2))},
		"vxlan":        {vxlan, testView(testHost(2))},
		"per-peer":     {perPeer, testView(testHost(3), testHost(2))},
		"direct":       {direct, onOurs},
		"no-lease":     {testConfig(), View{Peers: []Host{testHost(2)}}},
		"one-underlay": {testConfig(), testView(testHost(2), sameUnderlay)},
	} {
		t.Run(name, func(t *testing.T) {
			golden(t, name, renderPlan(Plan(c.cfg, c.view, nil)))
		})
	}
}

func renderPlan(desired *Desired, problems []Problem) string {
	var b strings.Builder
	if desired == nil {
		b.WriteString("# nothing is touched\n")
	} else {
		fmt.Fprintf(&b, "# daemon.json: \"bip\": %q, \"mtu\": %d\n", desired.Docker.Bip, desired.Docker.MTU)
		for _, c := range ovsdb.Diff(desired.Switch, ovsdb.State{Static: map[ovsdb.MAC]int{}}) {
			b.WriteString(strings.Join(c.Commands, "\n") + "\n")
		}
		have := bridge.State{OVSPort: bridge.Link{Name: "br0", Exists: true, MTU: 1500}, Sysctls: map[string]string{}}
		for _, c := range filter.Diff(desired.NAT, filter.State{}) {
			b.WriteString(strings.Join(c.Commands, "\n") + "\n")
		}
		for _, c := range bridge.Diff(desired.Host, have) {
			b.WriteString(strings.Join(c.Commands, "\n") + "\n")
		}
	}
	for _, p := range problems {
		fmt.Fprintf(&b, "# problem: %s; %s\n", p.What, p.Do)
	}
	return b.String()
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("plan differs from %s (-want +got):\n%s", file, diff)
	}
}

func TestWhichPeersGetATunnel(t *testing.T) {
	keep := Keep{testHost(2).ID: true}
	for name, c := range map[string]struct {
		change func(*View, *Host)
		keep   Keep
		want   bool
	}{
		"alive":                        {func(*View, *Host) {}, nil, true},
		"without a lease":              {func(_ *View, h *Host) { h.Subnet = netip.Prefix{} }, keep, false},
		"has left":                     {func(_ *View, h *Host) { h.Liveness = Left }, keep, false},
		"failed, BFD up or in grace":   {func(_ *View, h *Host) { h.Liveness = Failed }, keep, true},
		"failed, grace over":           {func(_ *View, h *Host) { h.Liveness = Failed }, nil, false},
		"lost its subnet to another":   {func(_ *View, h *Host) { h.Cut = true }, keep, false},
		"this host lost its own":       {func(v *View, _ *Host) { v.Self.Cut = true }, keep, false},
		"says that it is at this host": {func(v *View, h *Host) { h.Underlay = v.Self.Underlay }, keep, false},
	} {
		t.Run(name, func(t *testing.T) {
			peer := testHost(2)
			view := testView()
			c.change(&view, &peer)
			view.Peers = []Host{peer}
			desired, _ := Plan(testConfig(), view, c.keep)
			if got := len(desired.Switch.Tunnels) == 1; got != c.want {
				t.Errorf("tunnels %+v, want one: %t", desired.Switch.Tunnels, c.want)
			}
		})
	}
}

func TestAHostMadeAnewTakesThePlaceOfItsSilentSelf(t *testing.T) {
	was, is := testHost(2), testHost(3) // sorted by ID: the silent one is first
	was.Liveness, is.Underlay = Failed, was.Underlay
	desired, problems := Plan(testConfig(), testView(was, is), Keep{was.ID: true})
	if len(desired.Switch.Tunnels) != 1 || desired.Switch.Tunnels[0].Peer.Name != is.Name || len(problems) > 0 {
		t.Errorf("tunnels %+v, problems %+v", desired.Switch.Tunnels, problems)
	}
}

func TestPlanDoesNotDependOnTheOrderOfPeers(t *testing.T) {
	a, _ := Plan(testConfig(), testView(testHost(2), testHost(3), testHost(4)), nil)
	b, _ := Plan(testConfig(), testView(testHost(4), testHost(2), testHost(3)), nil)
	if !reflect.DeepEqual(a, b) {
		t.Errorf("%+v\n%+v", a, b)
	}
}
