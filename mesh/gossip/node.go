package gossip

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"
	"golang.org/x/sync/errgroup"

	"github.com/gremesh/gremesh/mesh"
	"github.com/gremesh/gremesh/mesh/lease"
)

// Node is this host's membership in the mesh.
type Node struct {
	cfg      Config
	self     lease.ID
	store    store
	delegate *delegate
	list     *memberlist.Memberlist // set by Run before anything else runs
	farewell chan farewell
	publish  chan struct{} // what we say of ourselves has changed
	tunnels  atomic.Pointer[mesh.TunnelCount]
	view     atomic.Pointer[mesh.View]
	changed  chan struct{}
	ready    chan struct{}
	absent   atomic.Pointer[[]netip.AddrPort] // where hosts should be that are not alive
	silence  atomic.Pointer[string]           // why no one could be joined
	outgoing sync.WaitGroup                   // sends and joins under way

	// Owned by the goroutine of own.
	mesh     string
	machine  *lease.Machine
	members  map[lease.ID]member
	gone     map[lease.ID]time.Time // since when a host is not alive
	problems *problems
	told     lease.Record // the own record that was last told by gossip
	dirty    bool         // the table is not durable yet

	newcomers []member // to be told of our lease
}

type farewell struct {
	release bool
	done    chan error
}

// New prepares the membership and starts nothing. It gives a host without an
// identity a new one.
func New(cfg Config) (*Node, error) {
	n := &Node{
		cfg: cfg, store: store{filepath.Join(cfg.Dir, "state.json")},
		farewell: make(chan farewell), publish: make(chan struct{}, 1),
		changed: make(chan struct{}, 1), ready: make(chan struct{}),
		members: make(map[lease.ID]member), gone: make(map[lease.ID]time.Time), problems: newProblems(),
	}
	st, err := n.store.load()
	if err != nil {
		return nil, err
	}
	n.self, n.mesh = st.Host, st.Mesh
	n.machine = lease.NewMachine(lease.Config{
		Self: n.self, Name: cfg.Name, Underlay: cfg.Underlay, Space: cfg.Settings.Space, Fixed: cfg.Fixed, Prefer: cfg.Prefer, Founder: cfg.Bootstrap,
	}, st.Records)
	for r := range n.machine.Table().All() {
		n.gone[r.Host] = time.Now()
	}
	n.delegate = &delegate{self: n.self, settings: cfg.Settings, inbox: newInbox()}
	n.delegate.news = &memberlist.TransmitLimitedQueue{NumNodes: func() int { return n.list.NumMembers() }, RetransmitMult: retransmitMult}
	n.delegate.meta.Store(&meta{
		Protocol: protocol, Mesh: n.mesh, Name: cfg.Name, Pool: cfg.Settings.Space.Pool, Bits: cfg.Settings.Space.Bits,
		Type: cfg.Settings.Tunnel.Type, Key: cfg.Settings.Tunnel.Key,
	})
	n.delegate.state.Store(&packet{Mesh: n.mesh, Records: st.Records})
	n.tunnels.Store(&mesh.TunnelCount{})
	n.refresh()
	return n, nil
}

// ID is this host's identity.
func (n *Node) ID() lease.ID { return n.self }

// View returns the mesh as known now.
func (n *Node) View() mesh.View { return *n.view.Load() }

// Changed signals that View may have changed. Only one receiver is served.
func (n *Node) Changed() <-chan struct{} { return n.changed }

// Ready is closed once the host has met others and knows that it may take
// part, or has tried long enough that what it already holds counts.
func (n *Node) Ready() <-chan struct{} { return n.ready }

// Report tells the mesh how many tunnels of this host there should be, and are.
func (n *Node) Report(count mesh.TunnelCount) {
	if old := n.tunnels.Swap(&count); *old != count {
		notify(n.publish)
	}
}

// Leave says goodbye: for good with release, else the subnet stays reserved
// for this host. When it returns, those who were reached know; Run goes on
// until its context ends.
func (n *Node) Leave(ctx context.Context, release bool) error {
	f := farewell{release: release, done: make(chan error, 1)}
	select {
	case n.farewell <- f:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-f.done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Run takes part in the mesh until ctx ends, without a goodbye: to the others
// this host then has failed. An error before Ready means that the mesh and
// this host do not go together ([RefusedError], [TwinError]).
func (n *Node) Run(ctx context.Context) error {
	list, err := memberlist.Create(n.memberlistConfig())
	if err != nil {
		return fmt.Errorf("listen for gossip on %s: %w", n.cfg.Underlay, err)
	}
	n.list = list
	defer n.outgoing.Wait()
	defer func() { _ = list.Shutdown() }()

	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return n.own(ctx) })
	group.Go(func() error { return n.meet(ctx) })
	group.Go(func() error { return n.announce(ctx) })
	return group.Wait()
}

// alone reports whether no other host is alive.
func (n *Node) alone() bool { return n.list.NumMembers() <= 1 }

// announce publishes what we say of ourselves; memberlist may take its time.
func (n *Node) announce(ctx context.Context) error {
	for {
		select {
		case <-n.publish:
			next := *n.delegate.meta.Load()
			next.Tunnels = *n.tunnels.Load()
			next.Mesh = n.View().Mesh
			n.delegate.meta.Store(&next)
			if err := n.list.UpdateNode(time.Second); err != nil {
				n.cfg.Log.Debug("publish own state", "err", err)
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// own is the loop of the goroutine that owns the state. Everything that has
// arrived is handled before the table is made durable, once, and answers leave
// only after that.
func (n *Node) own(ctx context.Context) error {
	ready := n.ready
	retry := time.NewTimer(patience())
	defer retry.Stop()
	for {
		var out lease.Output
		select {
		case <-n.delegate.inbox.signal:
			out = n.handle(n.delegate.inbox.take())
		case <-ready:
			ready = nil
			out = n.handle(n.delegate.inbox.take()) // what the join has brought
			out.Add(n.takePart())
		case <-retry.C:
			out = n.machine.Retry()
			retry.Reset(patience())
		case f := <-n.farewell:
			f.done <- n.sayGoodbye(f.release)
			<-ctx.Done() // having left, this host promises nothing any more
			return nil
		case <-ctx.Done():
			return nil
		}
		n.commit(out)
	}
}

// patience is how long silent hosts are waited for before they are asked again;
// random, so that two hosts that keep denying each other fall out of step.
func patience() time.Duration { return 200*time.Millisecond + rand.N(300*time.Millisecond) }

// commit makes the table durable and only then lets anything out: an answer is
// a promise. If the table can't be written, nothing is said.
func (n *Node) commit(out lease.Output) {
	defer n.refresh()
	n.dirty = n.dirty || out.Changed
	if n.dirty {
		st := state{Host: n.self, Mesh: n.mesh, Records: n.machine.Table().Records()}
		if err := n.store.save(st); err != nil {
			n.cfg.Log.Error("keep the lease table", "err", err)
			n.problems.set("state", mesh.Problem{
				What: err.Error(), Do: "free space on the disk; until then this host takes no lease and grants none",
			}, forever)
			return
		}
		n.problems.clear("state")
		n.dirty = false
		n.delegate.state.Store(&packet{Mesh: n.mesh, Records: st.Records})
	}
	n.tellOwn()
	n.greet()
	for _, envelope := range out.Send {
		n.send(envelope)
	}
}

// handle lets the machine see what has arrived.
func (n *Node) handle(events []event) lease.Output {
	var out lease.Output
	for _, e := range events {
		switch {
		case e.packet != nil:
			out.Add(n.handlePacket(e.packet))
		case e.joined != nil:
			if _, known := n.members[e.joined.id]; !known {
				n.newcomers = append(n.newcomers, *e.joined)
			}
			n.members[e.joined.id] = *e.joined
			delete(n.gone, e.joined.id)
			n.adopt(e.joined.meta.Mesh)
		case !e.failed.IsZero():
			delete(n.members, e.failed)
			n.gone[e.failed] = time.Now()
		case e.refused != nil:
			n.handleRefusal(*e.refused)
		case e.twins != nil:
			n.handleTwins(*e.twins)
		case e.foreign != nil:
			n.handleForeignKey(*e.foreign)
		}
	}
	return out
}

func (n *Node) handlePacket(data []byte) lease.Output {
	p, err := decodePacket(data)
	if err != nil {
		n.cfg.Log.Warn("gossip that can't be read is dropped", "err", err)
		return lease.Output{}
	}
	if p.Twin.IsValid() {
		n.handleTwins(twins{id: n.self, here: n.cfg.Underlay, also: p.Twin})
	}
	n.adopt(p.Mesh)
	if p.Mesh != n.mesh {
		return lease.Output{} // of a mesh that is not ours, or of none
	}
	out := n.machine.Merge(p.Records)
	if p.Lease != nil {
		out.Add(n.machine.Receive(*p.Lease))
	}
	return out
}

// adopt makes a host that is of no mesh yet one of the mesh that it has met.
func (n *Node) adopt(id string) {
	if n.mesh == "" && id != "" {
		n.mesh = id
		n.dirty = true
		notify(n.publish)
		n.cfg.Log.Info("joined a mesh", "mesh", id)
	}
}

// takePart is called once, when this host has met the others.
func (n *Node) takePart() lease.Output {
	if n.mesh == "" && n.cfg.Bootstrap {
		n.mesh, n.dirty = newID().String(), true
		notify(n.publish)
		n.cfg.Log.Info("founded a mesh", "mesh", n.mesh)
	}
	return n.machine.Start()
}
