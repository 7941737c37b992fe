package mesh

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/gremesh/gremesh/mesh/settings"
	"github.com/gremesh/gremesh/ovsdb"
)

func TestANewMeshTakesTheKeyOfTunnelsThatAreThere(t *testing.T) {
	port := func(name string, change func(*ovsdb.Port)) ovsdb.Port {
		p := ovsdb.Port{Bridge: "br0", Tunnel: ovsdb.Tunnel{Name: name, Type: "gre", Remote: netip.MustParseAddr("192.0.2.2")}}
		if change != nil {
			change(&p)
		}
		return p
	}
	keyed := func(key uint32) func(*ovsdb.Port) { return func(p *ovsdb.Port) { p.Key = key } }
	for name, c := range map[string]struct {
		ports []ovsdb.Port
		want  string // the key; empty: nothing is said
		says  string // of the problem
	}{
		"none":                          {nil, "", ""},
		"without a key":                 {[]ovsdb.Port{port("gre1", nil), port("gre2", nil)}, "none", ""},
		"with one":                      {[]ovsdb.Port{port("gre1", keyed(7)), port("gre2", keyed(7))}, "7", ""},
		"with different ones":           {[]ovsdb.Port{port("gre1", keyed(7)), port("gre2", keyed(8))}, "none", "gre1: 7, gre2: 8"},
		"one of them without":           {[]ovsdb.Port{port("gre1", keyed(7)), port("gre2", nil)}, "none", "gre2: 0"},
		"a key that OpenFlow sets":      {[]ovsdb.Port{port("gre1", func(p *ovsdb.Port) { p.Unreadable = map[string]string{"options:key": "flow"} })}, "none", "the key flow"},
		"on another bridge":             {[]ovsdb.Port{port("gre1", func(p *ovsdb.Port) { p.Bridge = "br1" })}, "", ""},
		"of an earlier mesh":            {[]ovsdb.Port{port("gre43", func(p *ovsdb.Port) { p.Ours, p.Peer.ID = true, "4d35" })}, "", ""},
		"printed by a plan":             {[]ovsdb.Port{port("gre43", func(p *ovsdb.Port) { p.Ours = true })}, "none", ""},
		"no tunnel":                     {[]ovsdb.Port{port("eth1", func(p *ovsdb.Port) { p.Type, p.Remote = "", netip.Addr{} })}, "", ""},
		"a tunnel of another kind":      {[]ovsdb.Port{port("x", func(p *ovsdb.Port) { p.Type = "gtpu" })}, "", ""},
		"an own one beside one by hand": {[]ovsdb.Port{port("gre43", func(p *ovsdb.Port) { p.Ours, p.Peer.ID, p.Key = true, "4d35", 9 }), port("gre1", keyed(7))}, "7", ""},
	} {
		values, problems := Found(ovsdb.State{Bridge: ovsdb.Bridge{Name: "br0", Exists: true}, Ports: c.ports})
		got, _ := settings.Values(values).Get("tunnel.key")
		if got != c.want || (len(problems) > 0) != (c.says != "") || len(problems) > 0 && !strings.Contains(problems[0].What, c.says) {
			t.Errorf("%s: key %q, %+v", name, got, problems)
		}
	}
}
