package gossip

import (
	"context"
	"strings"
	"testing"

	"github.com/hashicorp/memberlist"

	"github.com/gremesh/gremesh/mesh"
	"github.com/gremesh/gremesh/mesh/lease"
)

// handled waits until a host has handled all events that have arrived so far.
func handled(t *testing.T, n *running) {
	t.Helper()
	eventually(t, "all events are taken", func() bool {
		n.delegate.inbox.mu.Lock()
		defer n.delegate.inbox.mu.Unlock()
		return len(n.delegate.inbox.events) == 0
	})
	owned(t, n, func() {})
}

// owned runs look in the goroutine that owns a host's state.
func owned(t *testing.T, n *running, look func()) {
	t.Helper()
	if err := n.ask(context.Background(), func() lease.Effects { look(); return lease.Effects{} }); err != nil {
		t.Fatal(err)
	}
}

// recorded returns what a process of another host says of itself by gossip; nil
// if it has not come yet.
func recorded(t *testing.T, n *running, id lease.ID, life uint64) (node *memberlist.Node) {
	t.Helper()
	owned(t, n, func() {
		if m, ok := n.members[id]; ok && m.meta.Life == life {
			node = &memberlist.Node{Name: id.String(), Addr: m.underlay.Addr().AsSlice(), Port: m.underlay.Port(), Meta: encode(m.meta)}
		}
	})
	return node
}

func livenessAt(n *running, id lease.ID) mesh.Liveness {
	for _, p := range n.View().Peers {
		if p.ID == id {
			return p.Liveness
		}
	}
	return ""
}

// Anybody who has the key can record that a host is alive, and say it again
// when the host is dead.
func TestWhatIsPlayedBackMakesNoDeadHostAlive(t *testing.T) {
	t.Parallel() // it waits for gossip to find hosts silent
	tm := newTestMesh(t)
	h1, cfg := tm.start(tm.config(1)), tm.config(2)
	var lives []*memberlist.Node
	var id lease.ID
	for range 2 { // two processes, one after the other
		h2 := tm.start(cfg)
		id = h2.ID()
		eventually(t, "2 hosts", func() bool {
			return whole(h1, h2) && recorded(t, h1, id, h2.life) != nil
		})
		lives = append(lives, recorded(t, h1, id, h2.life))
		if err := h2.stop(); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "h2 has failed", func() bool { return livenessAt(h1, id) == mesh.Failed })
	if err := h1.delegate.NotifyAlive(lives[0]); err == nil {
		t.Error("an earlier process is let in")
	}
	// What the last process said is let in: it can be true. But it does not answer.
	if err := h1.delegate.NotifyAlive(lives[1]); err != nil {
		t.Error(err)
	}
	h1.delegate.NotifyJoin(lives[1])
	handled(t, h1)
	owned(t, h1, func() {
		if !h1.isMember(id) {
			t.Error("gossip does not have it: the test tests nothing")
		}
		if h1.isAlive(id) {
			t.Error("it counts as alive without an answer")
		}
	})
	if found, err := h1.FindForgotten(t.Context(), "h2"); err != nil || found.Why != "" {
		t.Errorf("it cannot be forgotten: %s, %v", found.Why, err)
	}
	if l, _ := leaseOf(t, h1, "h2"); l.Host != string(mesh.Failed) {
		t.Errorf("its lease is of a host that is %s", l.Host)
	}
	h2 := tm.start(cfg)
	eventually(t, "the host itself is let in again", func() bool { return whole(h1, h2) })
}

func TestAPacketOfAnEarlierProcessChangesNothing(t *testing.T) {
	tm := newTestMesh(t)
	h1, cfg := tm.start(tm.config(1)), tm.config(2)
	h2 := tm.start(cfg)
	eventually(t, "2 hosts", func() bool { return whole(h1, h2) })
	said := invented(h2.sign(packet{Mesh: h1.View().Mesh}))
	if err := h2.stop(); err != nil {
		t.Fatal(err)
	}
	h2 = tm.start(cfg)
	eventually(t, "2 hosts again", func() bool { return whole(h1, h2) })
	h1.delegate.NotifyMsg(said)
	wantNothingInvented(t, h1)
	h1.delegate.NotifyMsg(invented(h2.sign(packet{Mesh: h1.View().Mesh})))
	eventually(t, "the same of the process that runs is taken", func() bool {
		_, ok := leaseOf(t, h1, "invented")
		return ok
	})
}

// invented makes a packet one with the record of a host that is not there.
func invented(p packet) []byte {
	settings := testSettings
	p.Records = []lease.Record{{
		Host: lease.ID{66}, Version: 2, State: lease.Held, Subnet: settings.Pool.At(66), Sequence: 2, Name: "invented",
		Underlay: simAddress(66),
	}}
	return encode(p)
}

// wantNothingInvented waits until what a host was sent is judged.
func wantNothingInvented(t *testing.T, n *running) {
	t.Helper()
	handled(t, n)
	eventually(t, "all challenges are answered, or were sent in vain", func() bool {
		waits := false
		owned(t, n, func() {
			for _, c := range n.challenges {
				waits = waits || c.tries < 3
			}
		})
		return !waits
	})
	if _, ok := leaseOf(t, n, "invented"); ok {
		t.Error("what it was sent was taken")
	}
}

// Who has the key, and answers no challenge at the address that it names.
func TestAKeyHolderThatHasNotJoinedHasNoEffect(t *testing.T) {
	tm := newTestMesh(t)
	h1, h2 := tm.start(tm.config(1)), tm.start(tm.config(2))
	cfg := tm.config(5)
	cfg.Seeds = []string{tm.address(9).String()}
	outside := tm.start(cfg)
	eventually(t, "all listen", func() bool {
		return whole(h1, h2) && strings.Contains(logOf(outside), "no host could be joined yet")
	})
	before := h2.View().Self.Subnet
	record, _ := recordOf(t, h1, h2.ID())
	doomed := record
	doomed.Version, doomed.Doomed = doomed.Version+1, true
	claim := lease.Record{
		Host: lease.ID{66}, Version: 1, State: lease.Claiming, Subnet: testSettings.Pool.At(66), Name: "invented", Underlay: tm.address(9),
	}
	for _, sign := range []*signature{
		nil,
		{From: lease.ID{66}, Stamp: 1, At: tm.address(9)}, // a host that is not there
		{From: lease.ID{67}, At: tm.address(9)},           // and without a stamp
		{From: lease.ID{68}, Stamp: 1, At: tm.address(2)}, // at another's address
		{From: h2.ID(), Stamp: 1, At: tm.address(2)},      // a member
		{From: h2.ID(), Stamp: 1, At: tm.address(9)},      // a member at another address
		{From: h1.ID(), Stamp: 1, At: tm.address(1)},      // the receiver
	} {
		for _, p := range []packet{
			{Lease: &lease.Message{Claim: &lease.Claim{Record: claim}}},
			{Lease: &lease.Message{Removal: &lease.Removal{From: lease.ID{66}, Record: doomed}}},
		} {
			p.Mesh, p.Sign = h1.View().Mesh, sign
			outside.sendReliably(h1.ID(), tm.address(1), invented(p))
		}
	}
	wantNothingInvented(t, h1)
	if now, _ := recordOf(t, h1, h2.ID()); now != record {
		t.Errorf("h1 had of h2 %+v, and has %+v", record, now)
	}
	if now := h2.View().Self.Subnet; now != before || !whole(h1, h2) {
		t.Errorf("h2 had %s and has %s", before, now)
	}
}

// recordOf returns what a host's table has of another host.
func recordOf(t *testing.T, n *running, id lease.ID) (r lease.Record, ok bool) {
	t.Helper()
	owned(t, n, func() { r, ok = n.machine.Table().Get(id) })
	return r, ok
}

func TestAnOldPairingIsNotPutBack(t *testing.T) {
	tm := newTestMesh(t)
	cfgs := make(map[*running]Config)
	start := func(i int) *running {
		cfg := tm.config(i)
		n := tm.start(cfg)
		cfgs[n] = cfg
		return n
	}
	low, high := start(1), start(2)
	eventually(t, "two hosts", func() bool { return whole(low, high) })
	if low.ID().Compare(high.ID()) > 0 {
		low, high = high, low
	}
	agreed := func(tunnel string) (sent offer) {
		low.PublishOffers(map[lease.ID]mesh.Pair{high.ID(): {Type: tunnel}})
		eventually(t, "the other end has "+tunnel, func() bool { return len(high.View().Peers) == 1 && high.View().Peers[0].Tunnel == tunnel })
		owned(t, low, func() { sent = low.sentOffers[high.ID()] })
		return sent
	}
	old := agreed("geneve")
	last := agreed("gre")
	if old.Number >= last.Number {
		t.Errorf("the numbers are %d and %d", old.Number, last.Number)
	}
	playBack := func() {
		t.Helper()
		high.delegate.NotifyMsg(encode(low.sign(packet{Mesh: low.View().Mesh, Offer: &old})))
		handled(t, high)
		var told mesh.Pair
		owned(t, high, func() { told = high.receivedOffers[low.ID()] })
		if told.Type != "gre" {
			t.Errorf("the other end has %q", told.Type)
		}
	}
	playBack()
	// The number outlasts a restart.
	cfg := cfgs[high]
	eventually(t, "the number is on disk", func() bool {
		st, err := store{cfg.Dir}.loadState()
		return err == nil && st.Sightings[low.ID()] != nil && st.Sightings[low.ID()].LastOffer >= last.Number
	})
	if err := high.stop(); err != nil {
		t.Fatal(err)
	}
	high = tm.start(cfg)
	eventually(t, "it is told again", func() bool { return whole(low, high) && high.View().Peers[0].Tunnel == "gre" })
	playBack()
}
