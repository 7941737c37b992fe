package gossip

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/gremesh/gremesh/mesh/lease"
)

// keepEvery is how often what only a clock changes is made durable.
const keepEvery = 10 * time.Minute

// own is the loop of the goroutine that owns the state. Everything that has
// arrived is handled before the table is made durable, once, and answers leave
// only after that.
func (n *Node) own(ctx context.Context) error {
	met := n.met
	retry := time.NewTimer(n.patience())
	defer retry.Stop()
	keep := time.NewTicker(keepEvery)
	defer keep.Stop()
	compared := time.Now()
	for {
		var out lease.Output
		var err error
		select {
		case <-n.delegate.inbox.signal:
			out, err = n.handle(n.delegate.inbox.take())
		case <-met:
			met, n.touched = nil, true
			if out, err = n.handle(n.delegate.inbox.take()); err != nil { // what the join has brought
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

// patience is how long silent hosts are waited for before they are asked again;
// random, so that two hosts that keep denying each other fall out of step. A host
// that asks for nothing only counts how long others have been silent.
func (n *Node) patience() time.Duration {
	if n.kept.State == lease.Held && !n.kept.Next.IsValid() {
		return compareEvery
	}
	return 200*time.Millisecond + rand.N(300*time.Millisecond)
}

// takePart is called once, when this host has met the others. It may have said
// goodbye to them already.
func (n *Node) takePart() lease.Output {
	n.takes = true
	if n.left {
		return lease.Output{}
	}
	if n.mesh != "" && n.newcomer {
		n.machine.Follow() // the mesh of others, whose leases may not all be known here yet
	}
	if n.mesh == "" && n.cfg.Bootstrap {
		n.mesh, n.dirty = newID().String(), true
		n.cfg.Log.Info("created a mesh", "mesh", n.mesh)
		n.foundSettings()
	}
	return n.machine.Start()
}
