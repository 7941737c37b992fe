package ovsdb_test

import (
	"cmp"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strconv"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/gremesh/gremesh/ovsdb"
)

// switches draws a desired state: none at all, or a few of nine peers.
func switches() *rapid.Generator[ovsdb.Spec] {
	return rapid.Custom(func(t *rapid.T) ovsdb.Spec {
		if rapid.IntRange(0, 5).Draw(t, "uninstall") == 0 {
			return ovsdb.Spec{}
		}
		s := mesh(rapid.SliceOfNDistinct(rapid.IntRange(43, 51), 0, 5, rapid.ID).Draw(t, "peers")...)
		s.MTU = rapid.SampledFrom([]int{0, 1458, 1462}).Draw(t, "mtu")
		s.Mesh = rapid.SampledFrom([]string{"blue", "red", ""}).Draw(t, "mesh")
		for i := range s.Tunnels {
			s.Tunnels[i].Type = rapid.SampledFrom([]string{"gre", "vxlan"}).Draw(t, "type")
			s.Tunnels[i].Key = rapid.SampledFrom([]uint32{0, 1, 1 << 31}).Draw(t, "key")
			s.Tunnels[i].BFD = rapid.Bool().Draw(t, "bfd")
			if rapid.Bool().Draw(t, "any local address") {
				s.Tunnels[i].Local = netip.Addr{}
			}
			s.Tunnels[i].MAC = mac(int(s.Tunnels[i].Remote.As4()[3]))
			s.Tunnels[i].Peer.Name = rapid.SampledFrom([]string{"h1", "", "héé", `a "b" c`, "it's", "-x", "a=b,c"}).Draw(t, "name")
		}
		return s
	})
}

const survivors = "ovs-vsctl list-br; ovs-vsctl list-ports guests; ovs-vsctl --columns=protected,interfaces list port theirs"

func TestWhateverIsWantedIsThereAfterOneApply(t *testing.T) {
	o := startOVS(t)
	c := connect(t, o)
	o.vsctl("ovs-vsctl add-br guests -- set bridge guests datapath_type=netdev",
		"ovs-vsctl add-port guests theirs -- set interface theirs type=internal")
	guests := o.vsctl(survivors)
	rapid.Check(t, func(rt *rapid.T) {
		byShell := rapid.IntRange(0, 9).Draw(rt, "by shell") == 0
		want := switches().Draw(rt, "want")
		have := observe(t, c)
		changes := ovsdb.Diff(want, have)
		if byShell {
			o.shell(changes)
		} else if err := c.Apply(t.Context(), changes); err != nil {
			rt.Fatal(err)
		}
		have = observe(t, c)
		if left := ovsdb.Diff(want, have); !slices.ContainsFunc(left, func(c ovsdb.Change) bool {
			// A port that was made anew has lost its entry, and the flows of a new bridge are not known at once.
			return c.Key.Kind != "fdb" && c.Key.Kind != "flows"
		}) {
			c.Refresh()
			reconcile(t, c, want)
			have = observe(t, c)
		}
		for _, change := range ovsdb.Diff(want, have) {
			rt.Errorf("still differs: %s", change)
		}
		// What was read bit by bit is what is read as a whole.
		anew, stop := connectUntil(t, o)
		if diff := gocmp.Diff(observe(t, anew), observe(t, c), cmpopts.IgnoreUnexported(ovsdb.State{}, ovsdb.Bridge{}, ovsdb.Port{}),
			cmpopts.IgnoreFields(ovsdb.Port{}, "BFD"), cmpopts.IgnoreFields(ovsdb.State{}, "Forwarding"), cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})); diff != "" {
			rt.Errorf("read anew (-) and so far (+):\n%s", diff)
		}
		stop()
		for _, p := range have.Ports {
			if p.Ours && !p.Protected {
				rt.Errorf("%s is not protected", p.Name)
			}
		}
		for _, conflict := range ovsdb.Conflicts(want, have) {
			rt.Errorf("conflict: %+v", conflict)
		}
	})
	reconcile(t, c, ovsdb.Spec{})
	if got := o.vsctl(survivors); got != guests {
		t.Errorf("guests are\n%s\nwere\n%s", got, guests)
	}
}

// The commands of the golden files, run by a shell, do what Apply does.
func TestAShellCanRunTheGoldenCommands(t *testing.T) {
	for name, tc := range cases() {
		if name == "default-datapath" {
			continue // a test has no kernel module, and so netdev only
		}
		t.Run(name, func(t *testing.T) {
			var results [2]string
			for i := range results {
				o := startOVS(t)
				c := ovsdb.New(ovsdb.Config{DB: o.DB, Bridge: cmp.Or(tc.want.Bridge, "br0"), StateDir: t.TempDir(), Log: slog.New(slog.DiscardHandler)})
				run(t, c)
				o.prepare(tc.have)
				eventually(t, soon, "the client has seen it all", func() bool {
					have, err := c.Observe(t.Context())
					return err == nil && len(have.Ports) == len(tc.have.Ports)
				})
				changes := ovsdb.Diff(tc.want, observe(t, c))
				if i == 0 {
					commands := lines(ovsdb.Diff(tc.want, tc.have))
					if diff := gocmp.Diff(commands, lines(changes)); diff != "" {
						t.Errorf("the golden file has other commands: %s", diff)
					}
					o.vsctl(commands...)
				} else if err := c.Apply(t.Context(), changes); err != nil {
					t.Fatal(err)
				}
				settled(t, c, tc.want)
				results[i] = o.dump()
			}
			if diff := gocmp.Diff(results[0], results[1]); diff != "" {
				t.Errorf("by shell (-) and by Apply (+):\n%s", diff)
			}
		})
	}
}

// prepare makes what have says, by hand.
func (o *ovs) prepare(have ovsdb.State) {
	o.t.Helper()
	for _, b := range append(have.Stale, have.Bridge) {
		if b.Exists {
			o.vsctl("ovs-vsctl --no-wait add-br "+b.Name,
				"ovs-vsctl --no-wait set bridge "+b.Name+" datapath_type="+b.Datapath+" fail_mode="+b.FailMode)
		}
		if b.Ours {
			o.vsctl("ovs-vsctl set bridge " + b.Name + " external_ids:gremesh=" + b.Mesh)
		}
		if b.MTU != 0 {
			o.vsctl("ovs-vsctl set interface " + b.Name + " mtu_request=" + itoa(b.MTU))
		}
	}
	for _, p := range have.Ports {
		if p.Name == p.Bridge {
			o.vsctl("ovs-vsctl --no-wait --may-exist add-br " + p.Bridge)
			continue
		}
		// Since 4.0 ovs-vsctl fails if ovs-vswitchd cannot set up an interface, and a
		// tunnel without its options is such a one.
		o.vsctl("ovs-vsctl --no-wait add-port " + p.Bridge + " " + p.Name + " -- set interface " + p.Name + " type=" + p.Type)
		if p.Remote.IsValid() {
			o.vsctl("ovs-vsctl set interface " + p.Name + " options:remote_ip=" + p.Remote.String())
		}
		if p.Local.IsValid() {
			o.vsctl("ovs-vsctl set interface " + p.Name + " options:local_ip=" + p.Local.String())
		}
		if p.Key != 0 {
			o.vsctl("ovs-vsctl set interface " + p.Name + " options:key=" + strconv.Itoa(int(p.Key)))
		}
		if p.Tunnel.BFD {
			o.vsctl("ovs-vsctl set interface " + p.Name + " bfd:enable=true")
		}
		if p.Ours {
			o.vsctl(fmt.Sprintf("ovs-vsctl set port %s protected=%t external_ids:gremesh=%s external_ids:gremesh-peer=%s "+
				"external_ids:gremesh-name=%s external_ids:gremesh-subnet=%s",
				p.Name, p.Protected, p.Mesh, p.Peer.ID, p.Peer.Name, p.Peer.Subnet))
		}
		for column, value := range p.Unreadable {
			o.vsctl("ovs-vsctl set interface " + p.Name + " " + column + "=" + value)
		}
	}
}

func (o *ovs) dump() string {
	o.t.Helper()
	return o.vsctl("ovs-vsctl --columns=name,datapath_type,fail_mode,external_ids list bridge | sort",
		"ovs-vsctl --columns=name,protected,external_ids list port | sort",
		"ovs-vsctl --columns=name,type,options,bfd,mtu_request,error list interface | sort")
}

func BenchmarkApply(b *testing.B) {
	o := startOVS(b)
	c := connect(b, o)
	want := big(1000)
	for b.Loop() {
		reconcile(b, c, want)
		b.StopTimer()
		reconcile(b, c, ovsdb.Spec{})
		b.StartTimer()
	}
}

func BenchmarkObserve(b *testing.B) {
	o := startOVS(b)
	c := connect(b, o)
	reconcile(b, c, big(1000))
	for b.Loop() {
		observe(b, c)
	}
}
