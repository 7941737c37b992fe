package mesh

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/gremesh/gremesh/bridge/filter"
	"github.com/gremesh/gremesh/ovsdb"
)

// However a mesh changes, what is planned for those alone that have changed is
// what Plan has for all.
func TestWhatHasChangedIsPlannedAsAllAre(t *testing.T) {
	equal := []cmp.Option{cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{}), cmpopts.EquateEmpty(), cmpopts.IgnoreUnexported(ovsdb.Spec{})}
	replanned := 0
	for seed := range uint64(60) {
		random := rand.New(rand.NewPCG(seed, seed))
		cfg := testConfig()
		cfg.PerPeer, cfg.Direct, cfg.UnderlayLink = seed%4 > 0, seed%3 == 0, "eth0"
		cfg.Tunnel.Fallback = []string{"vxlan"}
		if seed%5 == 0 {
			cfg.NAT.Config = filter.Config{NonMasqueradeCIDRs: []netip.Prefix{netip.MustParsePrefix("192.168.0.0/16")}}
		}
		direct := netip.MustParsePrefix("192.168.248.0/24")
		view, keep := testView(), Keep{}
		if cfg.Direct {
			view.Self.Direct = direct
		}
		was := &plan{view: view, keep: keep}
		was.desired, was.problems = Plan(cfg, view, keep)
		for range 50 {
			view.Peers, keep = slices.Clone(view.Peers), cloned(keep)
			for range 1 + random.IntN(3) {
				mutate(random, &view, keep, direct)
			}
			view.SortPeers()
			is := &plan{view: view, keep: keep}
			is.desired, is.problems = Plan(cfg, view, keep)
			if again, ok := was.replan(cfg, view, keep); ok {
				replanned++
				if d := cmp.Diff(is.desired, again, equal...); d != "" {
					t.Fatalf("seed %d: planned for all (-), for what has changed (+):\n%s", seed, d)
				}
				if d := cmp.Diff(is.problems, was.problems); d != "" {
					t.Fatalf("seed %d: problems of all (-), and before (+):\n%s", seed, d)
				}
				is.desired = again
			}
			was = is
		}
	}
	if replanned < 1500 {
		t.Errorf("only %d of 3,000 were planned for what has changed", replanned)
	}
}

func cloned(keep Keep) Keep {
	all := Keep{}
	for id, yes := range keep {
		all[id] = yes
	}
	return all
}

// mutate has a host come or go, or changes something of one.
func mutate(random *rand.Rand, view *View, keep Keep, direct netip.Prefix) {
	n := 2 + random.IntN(20)
	at := slices.IndexFunc(view.Peers, func(h Host) bool { return h.ID == testHost(n).ID })
	if at < 0 {
		view.Peers = append(view.Peers, testHost(n))
		return
	}
	peer := &view.Peers[at]
	switch random.IntN(14) {
	case 0, 1:
		view.Peers = slices.Delete(view.Peers, at, at+1)
	case 2:
		peer.Liveness = []Liveness{Alive, Failed, Left}[random.IntN(3)]
	case 3:
		keep[peer.ID] = !keep[peer.ID]
	case 4:
		peer.Underlay = netip.AddrFrom4([4]byte{192, 168, 248, byte(138 + 2 + random.IntN(25))})
	case 5:
		peer.Underlay = netip.AddrFrom4([4]byte{203, 0, 113, byte(n)})
	case 6:
		peer.Subnet = testHost(2 + random.IntN(40)).Subnet
	case 7:
		peer.Subnet = netip.Prefix{}
	case 8:
		peer.Path = []int{0, 1400, 1500}[random.IntN(3)]
	case 9:
		peer.Direct = direct
	case 10:
		peer.Deaf = !peer.Deaf
	case 11:
		peer.Tunnel = []string{"", "vxlan"}[random.IntN(2)]
	case 12:
		peer.Cut = !peer.Cut
	case 13:
		peer.Name, peer.Tunnels.Up = fmt.Sprintf("h%d-%d", n, random.IntN(3)), random.IntN(5)
	}
}
