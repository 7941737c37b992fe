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
