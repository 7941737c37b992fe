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

// request is a function that the goroutine owning the state runs. The owner
// writes the changes to disk before it closes done. If that write fails, it
// closes done as well.
type request struct {
	do   func() lease.Effects
	done chan struct{}
}

var errStopped = errors.New("gossip has stopped on this host; the agent's log says why")

// ask makes the owner run a function and waits for its end. If ctx ends first,
// ask returns the context's error, and the owner may still run the function.
func (n *Node) ask(ctx context.Context, do func() lease.Effects) error {
	r := request{do: do, done: make(chan struct{})}
	select {
	case n.requests <- r: // from here on the owner runs the function, even if ctx ends
	case <-n.stopped:
		return errStopped
	case <-ctx.Done():
		return ctx.Err()
	}
	<-r.done // also after ctx has ended: do writes variables of the caller
	return nil
}

// Leases lists all subnets that are not free, sorted by subnet.
func (n *Node) Leases(ctx context.Context) (list []mesh.Lease, err error) {
	err = n.ask(ctx, func() lease.Effects {
		list = n.leases()
		return lease.Effects{}
	})
	return list, err
}

// Renumber makes this host claim another subnet. The zero prefix means any free
// subnet. Renumber waits until the new lease is on disk and returns its subnet.
// Until then this host keeps its present subnet. If ctx ends first, Renumber
// withdraws the claim and returns an error.
func (n *Node) Renumber(ctx context.Context, to netip.Prefix) (netip.Prefix, error) {
	var wrong error
	var before lease.Record
	err := n.ask(ctx, func() (out lease.Effects) {
		before = n.machine.Own()
		out, wrong = n.machine.Renumber(to)
		return out
	})
	if err = errors.Join(err, wrong); err != nil {
		return netip.Prefix{}, err
	}
	startedAt, waits := time.Now(), ""
	for {
		var now, kept lease.Record
		var claiming bool
		if err := n.ask(ctx, func() lease.Effects {
			now, kept, claiming, waits = n.machine.Own(), n.persistedOwn, n.machine.Claiming(), n.voices(n.machine.Waiting())
			return lease.Effects{}
		}); err != nil {
			n.withdraw()
			if !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled) {
				waits += ": " + err.Error()
			}
			return netip.Prefix{}, fmt.Errorf("no majority has granted another subnet within %s: %s; %s stays this host's",
				time.Since(startedAt).Round(time.Second), waits, before.Subnet)
		}
		switch {
		case kept.State == lease.Held && kept.Subnet != before.Subnet:
			return kept.Subnet, nil
		case !claiming && now.Version == kept.Version:
			return netip.Prefix{}, fmt.Errorf("another host has taken what was asked for, or nothing is free; %s stays this host's", before.Subnet)
		}
		if !sleepContext(ctx, 20*time.Millisecond) {
			continue // the next ask returns the context's error
		}
	}
}

// withdraw cancels the claim of a renumbering that was given up. Otherwise the
// new subnet could be granted later, when containers may be attached.
func (n *Node) withdraw() {
	ctx, cancel := context.WithTimeout(context.Background(), tcpTimeout)
	defer cancel()
	if err := n.ask(ctx, n.machine.Withdraw); err != nil {
		n.cfg.Log.Debug("withdraw the claim", "err", err)
	}
}

// Leave takes this host out of the mesh. With release it gives up the subnet;
// otherwise the subnet stays reserved for this host. When Leave returns nil, it
// has sent the news to every host that it could reach. Run continues until its
// context ends, but this host no longer takes part.
//
// A second call returns nil and does nothing more, unless it releases the
// subnet.
func (n *Node) Leave(ctx context.Context, release bool) error {
	if err := n.introduce(ctx); err != nil && ctx.Err() != nil {
		return err
	}
	var wrong error
	err := n.ask(ctx, func() lease.Effects {
		if n.left && !release {
			return lease.Effects{}
		}
		n.leavePending = true
		n.commit(n.machine.Leave(release))
		n.left = true
		if n.dirty { // otherwise this host would still hold its lease after a restart
			wrong = errors.New("cannot write to state_dir that this host leaves, so the peers were not told: they see it as failed")
			return lease.Effects{}
		}
		// Send the whole table, because it contains the promises that this host
		// made to other hosts.
		data := encode(n.sign(packet{Mesh: n.mesh, Records: n.machine.Table().Records()}))
		var goodbyes sync.WaitGroup
		for id, m := range n.members {
			goodbyes.Go(func() { n.sendReliably(id, m.underlay, data) })
		}
		goodbyes.Wait()
		if err := n.list.Leave(tcpTimeout); err != nil {
			n.cfg.Log.Debug("leave", "err", err) // not fatal: the peers have this host's table
		}
		n.leavePending, n.dirty = false, true
		n.commit(lease.Effects{})
		return lease.Effects{}
	})
	return errors.Join(err, wrong)
}
