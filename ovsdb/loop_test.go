package ovsdb_test

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	contract "github.com/gremesh/gremesh/mesh/reconcile"
	"github.com/gremesh/gremesh/ovsdb"
)

// byHand is a port as the recipe makes it.
func byHand(name, remote string) ovsdb.Port {
	p := foreign("br0", name, "gre")
	p.Remote = netip.MustParseAddr(remote)
	return p
}

func TestATunnelOfOthersThatIsNotProtectedIsADanger(t *testing.T) {
	protected := byHand("gre2", "192.168.248.44")
	protected.Protected = true
	elsewhere := byHand("gre3", "192.168.248.44")
	elsewhere.Bridge = "br1"
	geneve := byHand("gnv0", "192.168.248.9")
	geneve.Type = "geneve"
	byFlow := foreign("br0", "vx0", "vxlan")
	byFlow.Unreadable = map[string]string{"options:remote_ip": "flow"}
	ours := has(mesh(45)).Ports[1]

	for name, tc := range map[string]struct {
		ports []ovsdb.Port
		want  []string // objects
	}{
		"alone on its bridge":      {[]ovsdb.Port{byHand("gre1", "192.168.248.43"), foreign("br0", "tap0", "internal")}, nil},
		"another on its bridge":    {[]ovsdb.Port{byHand("gre1", "192.168.248.43"), geneve}, []string{"port gnv0", "port gre1"}},
		"beside a protected one":   {[]ovsdb.Port{byHand("gre1", "192.168.248.43"), protected}, []string{"port gre1"}},
		"beside one of gremesh's":  {[]ovsdb.Port{byHand("gre1", "192.168.248.43"), ours}, []string{"port gre1"}},
		"beside one elsewhere":     {[]ovsdb.Port{byHand("gre1", "192.168.248.43"), elsewhere}, nil},
		"remote set by OpenFlow":   {[]ovsdb.Port{byFlow, ours}, []string{"port vx0"}},
		"protected, and gremesh's": {[]ovsdb.Port{protected, ours}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, c := range ovsdb.UnprotectedTunnels("br0", ovsdb.State{Ports: tc.ports}) {
				got = append(got, c.Key.String())
			}
			if d := cmp.Diff(tc.want, got); d != "" {
				t.Error(d)
			}
		})
	}

	got := ovsdb.UnprotectedTunnels("br0", ovsdb.State{Ports: []ovsdb.Port{byHand("gre1", "192.168.248.43"), ours}})
	want := []ovsdb.Conflict{{
		Key:  contract.Key{Component: "ovs", Kind: "port", Name: "gre1"},
		What: "not protected, and not gremesh's: br0 passes broadcasts from this gre tunnel to 192.168.248.43 on to the other tunnels, a loop with three such hosts",
		Do:   "ovs-vsctl set port gre1 protected=true",
	}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}
