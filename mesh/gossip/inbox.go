package gossip

import (
	"net/netip"
	"sync"

	"github.com/gremesh/gremesh/mesh/lease"
)

// event is one event from memberlist. Exactly one field is set, except that
// joining qualifies packet.
type event struct {
	packet         []byte          // a message, or the state from a push/pull
	joining        bool            // the packet came from a join: this host joins the sender, or the sender joins it
	joined         *member         // a host is alive, or has new meta data
	failed         lease.ID        // a host is silent, or has left
	stale          *member         // gossip, or a replayed message, names an earlier process of a host
	refused        *refusal        // a host was refused
	duplicates     *duplicateID    // one ID was seen at two addresses
	duplicate      *netip.AddrPort // a host with this host's ID answered at another address
	olderDuplicate *netip.AddrPort // the same, but that host has been running for longer
	foreign        *unreadable     // gossip that cannot be decrypted
	limited        *limited        // a limit has ended a connection
}

// member is another host that gossip finds alive.
type member struct {
	id       lease.ID
	underlay netip.AddrPort
	meta     meta
}

// refusal is a host that was refused, with the reason.
type refusal struct {
	id       lease.ID // zero: the host has no valid ID
	name     string
	underlay netip.AddrPort
	why      string
}

// duplicateID are two hosts with one ID.
type duplicateID struct {
	id   lease.ID
	here netip.AddrPort // the host that this host knew first
	also netip.AddrPort // the other host
}

// canDrop reports whether an event may be dropped: it will come again, or
// nothing depends on it. It returns false for an event that memberlist reports
// only once.
func (e event) canDrop() bool {
	return e.joined == nil && e.failed.IsZero() && e.duplicate == nil && e.olderDuplicate == nil
}

// inbox queues the events from callbacks. It never blocks. It is bounded for
// events that come again. Dropping such an event is safe, because gossip loses
// messages anyway.
type inbox struct {
	mu     sync.Mutex
	events []event
	signal chan struct{}
}

const inboxLimit = 8192

func newInbox() *inbox { return &inbox{signal: make(chan struct{}, 1)} }

func (b *inbox) put(e event) {
	b.mu.Lock()
	if len(b.events) < inboxLimit || !e.canDrop() {
		b.events = append(b.events, e)
	}
	b.mu.Unlock()
	notify(b.signal)
}

func (b *inbox) take() []event {
	b.mu.Lock()
	defer b.mu.Unlock()
	events := b.events
	b.events = nil
	return events
}

// notify sends a signal to the receiver of a channel of capacity one. It never
// blocks: if a signal is already pending, it does nothing.
func notify(signal chan struct{}) {
	select {
	case signal <- struct{}{}:
	default:
	}
}
