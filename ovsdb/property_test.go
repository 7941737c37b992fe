package ovsdb_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/gremesh/gremesh/ovsdb"
)

// switches draws a desired state: none at all, or a few of nine peers.
func switches() *rapid.Generator[ovsdb.Switch] {
	return rapid.Custom(func(t *rapid.T) ovsdb.Switch {
		if rapid.IntRange(0, 5).Draw(t, "uninstall") == 0 {
			return ovsdb.Switch{}
		}
		s := mesh(rapid.SliceOfNDistinct(rapid.IntRange(43, 51), 0, 5, rapid.ID).Draw(t, "peers")...)
		s.MTU = rapid.SampledFrom([]int{0, 1458, 1462}).Draw(t, "mtu")
		s.Mesh = rapid.SampledFrom([]string{"blue", "red"}).Draw(t, "mesh")
		for i := range s.Tunnels {
			s.Tunnels[i].Type = rapid.SampledFrom([]string{"gre", "vxlan"}).Draw(t, "type")
			s.Tunnels[i].Key = rapid.SampledFrom([]uint32{0, 1, 1 << 31}).Draw(t, "key")
			s.Tunnels[i].BFD = rapid.Bool().Draw(t, "bfd")
			if rapid.Bool().Draw(t, "any local address") {
				s.Tunnels[i].Local = netip.Addr{}
			}
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
			o.vsctl(lines(changes)...)
		} else if err := c.Apply(t.Context(), changes); err != nil {
			rt.Fatal(err)
		}
		have = observe(t, c)
		for _, change := range ovsdb.Diff(want, have) {
			rt.Errorf("still differs: %s", change)
		}
		for _, p := range have.Ports {
			if p.Ours && !p.Protected {
				rt.Errorf("%s is not protected", p.Name)
			}
		}
		for _, conflict := range ovsdb.Conflicts(want, have) {
			rt.Errorf("conflict: %+v", conflict)
		}
	})
	reconcile(t, c, ovsdb.Switch{})
	if got := o.vsctl(survivors); got != guests {
		t.Errorf("guests are\n%s\nwere\n%s", got, guests)
	}
}

// The commands that Diff prints do what Apply does.
func TestAShellCanRunTheGoldenCommands(t *testing.T) {
	o := startOVS(t)
	c := connect(t, o)
	for name, tc := range cases() {
		if strings.HasPrefix(name, "uninstall") || tc.want.Bridge != "br0" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			if tc.want.Datapath == "" {
				tc.want.Datapath = "netdev" // there is no other in a test
			}
			reconcile(t, c, ovsdb.Switch{})
			// Make what the case starts from, as far as it is ours.
			start := ovsdb.Switch{Bridge: tc.have.Bridge.Name, Datapath: "netdev", MTU: tc.have.Bridge.MTU, Mesh: tc.have.Bridge.Mesh}
			for _, p := range tc.have.Ports {
				if p.Ours {
					start.Tunnels = append(start.Tunnels, p.Tunnel)
				}
			}
			reconcile(t, c, start)
			for _, p := range tc.have.Ports {
				if p.Ours && !p.Protected {
					o.vsctl("ovs-vsctl set port " + p.Name + " protected=false")
				}
				for column, value := range p.Unreadable {
					o.vsctl("ovs-vsctl set interface " + p.Name + " " + column + "=" + value)
				}
			}

			commands := lines(ovsdb.Diff(tc.want, observe(t, c)))
			if known := lines(ovsdb.Diff(tc.want, tc.have)); tc.have.Bridge.Ours && !slices.Equal(known, commands) {
				t.Logf("golden and real commands differ:\n%s\n--\n%s", strings.Join(known, "\n"), strings.Join(commands, "\n"))
			}
			o.vsctl(commands...)
			settled(t, c, tc.want)
			byShell := dump(o)

			reconcile(t, c, ovsdb.Switch{})
			reconcile(t, c, tc.want)
			if byApply := dump(o); byApply != byShell {
				t.Errorf("by Apply:\n%s\nby shell:\n%s", byApply, byShell)
			}
		})
	}
}

func dump(o *ovs) string {
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
		reconcile(b, c, ovsdb.Switch{})
		b.StartTimer()
	}
}
