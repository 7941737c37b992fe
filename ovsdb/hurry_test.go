package ovsdb

import "testing"

func TestAHandshakeIsHurriedOnceAndNothingElse(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Port)
		want   bool
	}{
		"under way":       {func(*Port) {}, true},
		"nudged already":  {func(p *Port) { p.MinTx = hurriedMinTx }, false},
		"up":              {func(p *Port) { p.BFD.State = "up" }, false},
		"nothing heard":   {func(p *Port) { p.BFD.State = "down" }, false},
		"another's":       {func(p *Port) { p.Ours = false }, false},
		"BFD not enabled": {func(p *Port) { p.BFD = BFDStatus{} }, false},
	} {
		p := Port{Ours: true, BFD: BFDStatus{State: "init"}}
		c.change(&p)
		if got := p.needsPoll(); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
