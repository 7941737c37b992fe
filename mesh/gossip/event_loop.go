package gossip

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/gremesh/gremesh/mesh/lease"
)

// saveInterval is the interval between writes of values that only the clock
// changes.
const saveInterval = 10 * time.Minute

// eventLoop is the loop of the goroutine that owns the state. In each round it
// handles all events that have arrived. It then writes the table to disk once.
// It sends answers only after that write.
func (n *Node) eventLoop(ctx context.Context) error {
	met := n.met
	retry := time.NewTimer(n.retryInterval())
	defer retry.Stop()
	keep := time.NewTicker(saveInterval)
	defer keep.Stop()
	compared := time.Now()
	for {
		var out lease.Effects
		var err error
		select {
		case <-n.delegate.inbox.signal:
			out, err = n.handle(n.delegate.inbox.take())
		case <-met:
			met, n.viewDirty = nil, true
			if out, err = n.handle(n.delegate.inbox.take()); err != nil { // state that the join has brought
				return err
			}
			out.Add(n.startLeasing())
			n.commit(out)
			close(n.ready)
			continue
		case <-retry.C:
			n.endForced()
			out = n.expire()
			out.Add(n.machine.Retry())
			out.Add(n.completeForced())
			n.challengeSilent()
			retry.Reset(n.retryInterval())
			if time.Since(compared) >= compareEvery && !n.left {
				compared = time.Now()
				n.compareTables()
				n.dirty, n.sightingsDirty = n.dirty || n.sightingsDirty, false
			}
		case <-keep.C:
			n.dirty = true
		case <-n.measured:
			n.refresh()
			continue
		case <-n.offersChanged:
			n.sendOffers()
			n.refresh()
			continue
		case r := <-n.requests:
			n.viewDirty = true
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

// retryInterval returns how long to wait for silent hosts before asking them
// again. The time is random between 200 and 500 ms. Otherwise two hosts that
// deny each other's claims could keep colliding. A host that claims nothing
// waits for compareEvery: it only counts for how long other hosts have been
// silent.
func (n *Node) retryInterval() time.Duration {
	if n.persistedOwn.State == lease.Held && !n.persistedOwn.Next.IsValid() {
		return compareEvery
	}
	return 200*time.Millisecond + rand.N(300*time.Millisecond)
}

// startLeasing starts claiming and granting leases. The owner calls it once,
// when this host has joined others or continues without them. The host may have
// left the mesh before.
func (n *Node) startLeasing() lease.Effects {
	n.takesPart = true
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
