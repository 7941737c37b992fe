package gossip

import (
	"net/netip"
	"testing"
)

func TestOthersHearWhetherDirectPacketsGetThrough(t *testing.T) {
	tm := newTestMesh(t)
	subnet := netip.MustParsePrefix("127.0.0.0/8")
	with := func(i int) Config {
		cfg := tm.config(i)
		cfg.Direct = subnet
		return cfg
	}
	first, second := tm.start(with(1)), tm.start(with(2))
	eventually(t, "two hosts", func() bool { return whole(first, second) })
	if v := second.View(); v.Self.Direct.IsValid() || v.Peers[0].Direct.IsValid() {
		t.Errorf("before anyone has said so: %+v", v)
	}
	for _, open := range []bool{true, false} {
		want := netip.Prefix{}
		if open {
			want = subnet
		}
		first.Open(open)
		eventually(t, "both know", func() bool {
			return first.View().Self.Direct == want && second.View().Peers[0].Direct == want
		})
		if second.View().Self.Direct.IsValid() {
			t.Error("the other host says so too")
		}
	}
}
