package gossip

import (
	"testing"

	"github.com/gremesh/gremesh/mesh"
	"github.com/gremesh/gremesh/mesh/lease"
)

func TestThePeerWithTheHigherIDFollows(t *testing.T) {
	tm := newTestMesh(t)
	cfgs := map[*running]Config{}
	start := func(cfg Config) *running {
		r := tm.start(cfg)
		cfgs[r] = cfg
		return r
	}
	low, high := start(tm.config(1)), start(tm.config(2))
	eventually(t, "two hosts", func() bool { return whole(low, high) })
	if low.ID().Compare(high.ID()) > 0 {
		low, high = high, low
	}
	typeAt := func(at *running) string { return at.View().Peers[0].Tunnel }

	high.PublishOffers(map[lease.ID]mesh.Pair{low.ID(): {Type: "vxlan", Silent: "gre"}}) // it is not its to decide
	low.PublishOffers(map[lease.ID]mesh.Pair{high.ID(): {Type: "geneve"}})
	eventually(t, "the other end has geneve", func() bool { return typeAt(high) == "geneve" })
	eventually(t, "the host that decides knows what the other hears", func() bool { return low.View().Peers[0].Silent == "gre" })
	if got := typeAt(low); got != "" {
		t.Errorf("the host that decides was told %q", got)
	}
	low.PublishOffers(map[lease.ID]mesh.Pair{high.ID(): {Type: "gre"}})
	eventually(t, "the other end has gre again", func() bool { return typeAt(high) == "gre" })

	low.PublishOffers(map[lease.ID]mesh.Pair{high.ID(): {Type: "vxlan"}})
	cfg := cfgs[high]
	if err := high.stop(); err != nil {
		t.Fatal(err)
	}
	high = start(cfg)
	eventually(t, "a host that was started anew is told again", func() bool {
		return len(high.View().Peers) == 1 && typeAt(high) == "vxlan"
	})
}
