package gossip

import (
	"net/netip"
	"testing"
)

func TestTheLeastPathIsToldToTheMesh(t *testing.T) {
	tm := newTestMesh(t)
	a, b := tm.start(tm.config(1)), tm.start(tm.config(2))
	eventually(t, "two hosts", func() bool { return whole(a, b) })
	at := a.View().Peers[0].Underlay
	a.Measured(map[netip.Addr]int{at: 1400, netip.MustParseAddr("192.0.2.1"): 1500})
	eventually(t, "each knows its part", func() bool {
		here, there := a.View(), b.View()
		return here.Peers[0].Path == 1400 && here.Self.MTU == 1400 && there.Peers[0].MTU == 1400 && there.Peers[0].Path == 0
	})
	a.Measured(map[netip.Addr]int{at: 1500})
	eventually(t, "and what it has become", func() bool { return b.View().Peers[0].MTU == 1500 })

	if err := a.stop(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "what a silent host said last stays", func() bool {
		peer := b.View().Peers[0]
		return peer.Liveness == "failed" && peer.MTU == 1500
	})
}

// After a power cut of a whole site the first host to be back is alone.
func TestWhatPathsTookIsKnownBeforeTheOthersAreBack(t *testing.T) {
	tm := newTestMesh(t)
	cfg := tm.config(1)
	a, b := tm.start(cfg), tm.start(tm.config(2))
	eventually(t, "two hosts", func() bool { return whole(a, b) })
	a.Measured(map[netip.Addr]int{a.View().Peers[0].Underlay: 1400})
	b.Measured(map[netip.Addr]int{b.View().Peers[0].Underlay: 1300})
	kept := func() bool {
		st, err := store{cfg.Dir}.load()
		one := st.Sightings[b.ID()]
		return err == nil && one != nil && one.Path == 1400 && one.MTU == 1300
	}
	eventually(t, "it is on disk", kept)
	for _, r := range []*running{a, b} {
		if err := r.stop(); err != nil {
			t.Fatal(err)
		}
	}
	a = tm.start(cfg)
	eventually(t, "its state is read", func() bool { return len(a.View().Peers) == 1 })
	if peer := a.View().Peers[0]; peer.Liveness != "failed" || peer.Path != 1400 || peer.MTU != 1300 {
		t.Errorf("it knows %+v", peer)
	}
	a.Measured(map[netip.Addr]int{a.View().Peers[0].Underlay: 1500})
	eventually(t, "and then what it is", func() bool { return a.View().Peers[0].Path == 1500 })
}
