package gossip

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/gremesh/gremesh/mesh/lease"
)

// keepEvery is the interval between writes of values that only the clock
// changes.
const keepEvery = 10 * time.Minute

// own is the loop of the goroutine that owns the state. In each round it
// handles all events that have arrived. It then writes the table to disk once.
// It sends answers only after that write.
func (n *Node) own(ctx context.Context) error {
	met := n.met
	retry := time.NewTimer(n.patience())
	defer retry.Stop()
	keep := time.NewTicker(keepEvery)
	defer keep.Stop()
	compared := time.Now()
	for {
		var out lease.Effects
		var err error
		select {
		case <-n.delegate.inbox.signal:
			out, err = n.handle(n.delegate.inbox.take())
		case <-met:
			met, n.touched = nil, true
			if out, err = n.handle(n.delegate.inbox.take()); err != nil { // state that the join has brought
				return err
			}
			out.Add(n.takePart())
			n.commit(out)
			close(n.ready)
			continue
		case <-retry.C:
			n.endForced()
			out = n.expire()
			out.Add(n.machine.Retry())
			out.Add(n.completeForced())
			n.challengeSilent()
			retry.Reset(n.patience())
			if time.Since(compared) >= compareEvery && !n.left {
				compared = time.Now()
				n.compareTables()
				n.dirty, n.noted = n.dirty || n.noted, false
			}
		case <-keep.C:
			n.dirty = true
		case <-n.measured:
			n.refresh()
			continue
		case <-n.repair:
			n.tellPairs()
			n.refresh()
			continue
		case r := <-n.requests:
			n.touched = true
			out = r.do()
			n.commit(out)
			close(r.done)
			continue
		case <-ctx.Done():
			return nil
		}
		if err != nil {
			return err
		}
		n.commit(out)
	}
}

// patience returns how long to wait for silent hosts before asking them again.
// The time is random between 200 and 500 ms. Otherwise two hosts that deny each
// other's claims could keep colliding. A host that claims nothing waits for
// compareEvery: it only counts for how long other hosts have been silent.
func (n *Node) patience() time.Duration {
	if n.kept.State == lease.Held && !n.kept.Next.IsValid() {
		return compareEvery
	}
	return 200*time.Millisecond + rand.N(300*time.Millisecond)
}

// takePart starts claiming and granting leases. The owner calls it once, when
// this host has joined others or continues without them. The host may have left
// the mesh before.
func (n *Node) takePart() lease.Effects {
	n.takes = true
	if n.left {
		return lease.Effects{}
	}
	if n.mesh != "" && n.newcomer {
		n.machine.Follow() // this host may not know all leases of the mesh yet, so it must not take one without grants
	}
	if n.mesh == "" && n.cfg.Bootstrap {
		n.mesh, n.dirty = newID().String(), true
		n.cfg.Log.Info("created a mesh", "mesh", n.mesh)
		n.foundSettings()
	}
	return n.machine.Start()
}
