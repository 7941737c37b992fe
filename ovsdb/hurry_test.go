package ovsdb_test

import (
	"testing"

	"github.com/gremesh/gremesh/ovsdb"
)

func TestHurryNudgesAHandshakeOnceAndNothingElse(t *testing.T) {
	port := func(change func(*ovsdb.Port)) ovsdb.Port {
		p := ovsdb.Port{Tunnel: tunnel(43), Ours: true, BFD: ovsdb.BFDStatus{State: "init"}}
		change(&p)
		return p
	}
	for name, c := range map[string]struct {
		port ovsdb.Port
		want int
	}{
		"under way":       {port(func(*ovsdb.Port) {}), 1},
		"nudged already":  {port(func(p *ovsdb.Port) { p.MinTx = "101" }), 0},
		"up":              {port(func(p *ovsdb.Port) { p.BFD.State = "up" }), 0},
		"nothing heard":   {port(func(p *ovsdb.Port) { p.BFD.State = "down" }), 0},
		"another's":       {port(func(p *ovsdb.Port) { p.Ours = false }), 0},
		"BFD not enabled": {port(func(p *ovsdb.Port) { p.BFD = ovsdb.BFDStatus{} }), 0},
	} {
		if got := ovsdb.Hurry(ovsdb.Actual{Ports: []ovsdb.Port{c.port}}); len(got) != c.want {
			t.Errorf("%s: %+v, want %d changes", name, got, c.want)
		}
	}
}
