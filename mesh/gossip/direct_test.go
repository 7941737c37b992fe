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
		first.SetDirectAllowed(open)
		eventually(t, "both know", func() bool {
			return first.View().Self.Direct == want && second.View().Peers[0].Direct == want
		})
		if second.View().Self.Direct.IsValid() {
			t.Error("the other host says so too")
		}
	}
}

// An agent that is started again reaches its peers as before, also those that it
// has not met yet.
func TestWhatASilentHostSaidOfDirectPacketsIsKept(t *testing.T) {
	tm := newTestMesh(t)
	subnet := netip.MustParsePrefix("127.0.0.0/8")
	cfg, other := tm.config(1), tm.config(2)
	cfg.Direct, cfg.DirectAllowed, other.Direct, other.DirectAllowed = subnet, true, subnet, true
	a, b := tm.start(cfg), tm.start(other)
	eventually(t, "two hosts", func() bool { return whole(a, b) && a.View().Peers[0].Direct == subnet })
	eventually(t, "it is on disk", func() bool {
		st, err := store{cfg.Dir}.load()
		one := st.Sightings[b.ID()]
		return err == nil && one != nil && one.Direct == subnet
	})
	for _, r := range []*running{b, a} {
		if err := r.stop(); err != nil {
			t.Fatal(err)
		}
	}
	a = tm.start(cfg)
	eventually(t, "its state is read", func() bool { return len(a.View().Peers) == 1 })
	if peer := a.View().Peers[0]; peer.Direct != subnet {
		t.Errorf("it knows %+v", peer)
	}
}
