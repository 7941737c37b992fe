package gossip

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/gremesh/gremesh/mesh"
	"github.com/gremesh/gremesh/mesh/lease"
)

// request is work for the goroutine that owns the state. What it changed is
// durable when done is closed, if it could be made so.
type request struct {
	do   func() lease.Output
	done chan struct{}
}

var errStopped = errors.New("gossip has stopped on this host; the agent's log says why")

// ask has the owner do something, and waits until it is done.
func (n *Node) ask(ctx context.Context, do func() lease.Output) error {
	r := request{do: do, done: make(chan struct{})}
	select {
	case n.requests <- r: // and then the owner does it, whatever happens
	case <-n.stopped:
		return errStopped
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-r.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Leases lists every subnet that is not free, sorted.
func (n *Node) Leases(ctx context.Context) (list []mesh.Lease, err error) {
	err = n.ask(ctx, func() lease.Output {
		list = n.leases()
		return lease.Output{}
	})
	return list, err
}

// Renumber makes this host claim another subnet, the given one or, if that is
// zero, any, and returns it when the claim stands. Until then it keeps the one
// that it has.
func (n *Node) Renumber(ctx context.Context, to netip.Prefix) (netip.Prefix, error) {
	var wrong error
	var before lease.Record
	err := n.ask(ctx, func() (out lease.Output) {
		before = n.machine.Own()
		out, wrong = n.machine.Renumber(to)
		return out
	})
	if err = errors.Join(err, wrong); err != nil {
		return netip.Prefix{}, err
	}
	began, waits := time.Now(), ""
	for {
		var now, kept lease.Record
		var claiming bool
		if err := n.ask(ctx, func() lease.Output {
			now, kept, claiming, waits = n.machine.Own(), n.kept, n.machine.Claiming(), n.voices(n.machine.Waiting())
			return lease.Output{}
		}); err != nil {
			n.withdraw()
			if !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled) {
				waits += ": " + err.Error()
			}
			return netip.Prefix{}, fmt.Errorf("no majority has granted another subnet within %s: %s; %s stays this host's",
				time.Since(began).Round(time.Second), waits, before.Subnet)
		}
		switch {
		case kept.State == lease.Held && kept.Subnet != before.Subnet:
			return kept.Subnet, nil
		case !claiming && now.Version == kept.Version:
			return netip.Prefix{}, fmt.Errorf("another host has taken what was asked for, or nothing is free; %s stays this host's", before.Subnet)
		}
		if !wait(ctx, 20*time.Millisecond) {
			continue // ask says why
		}
	}
}

// withdraw makes sure that a renumbering which was given up does not happen
// later, when containers may be attached.
func (n *Node) withdraw() {
	ctx, cancel := context.WithTimeout(context.Background(), tcpTimeout)
	defer cancel()
	if err := n.ask(ctx, n.machine.Withdraw); err != nil {
		n.cfg.Log.Debug("withdraw the claim", "err", err)
	}
}

// Leave says goodbye: for good with release, else the subnet stays reserved
// for this host. When it returns, those who could be reached know. Run goes on
// until its context ends, but this host takes no part any more.
//
// A host that has left already leaves once more without an error.
func (n *Node) Leave(ctx context.Context, release bool) error {
	if err := n.introduce(ctx); err != nil && ctx.Err() != nil {
		return err
	}
	var wrong error
	err := n.ask(ctx, func() lease.Output {
		if n.left && !release {
			return lease.Output{}
		}
		n.untold = true
		n.commit(n.machine.Leave(release))
		n.left = true
		if n.dirty { // after a restart this host would take its lease for its own
			wrong = errors.New("cannot write to state_dir that this host leaves, so the peers were not told: they see it as failed")
			return lease.Output{}
		}
		// With the whole table go the promises that were made here.
		data := encode(n.sign(packet{Mesh: n.mesh, Records: n.machine.Table().Records()}))
		var goodbyes sync.WaitGroup
		for id, m := range n.members {
			goodbyes.Go(func() { n.sendReliably(id, m.underlay, data) })
		}
		goodbyes.Wait()
		if err := n.list.Leave(tcpTimeout); err != nil {
			n.cfg.Log.Debug("leave", "err", err) // the peers have our table
		}
		n.untold, n.dirty = false, true
		n.commit(lease.Output{})
		return lease.Output{}
	})
	return errors.Join(err, wrong)
}
