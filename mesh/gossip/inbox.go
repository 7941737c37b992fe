package gossip

import (
	"net/netip"
	"sync"

	"github.com/gremesh/gremesh/mesh/lease"
)

// event is something that memberlist told us. Exactly one field is set.
type event struct {
	packet  []byte          // a message, or the state of a push/pull
	joining bool            // packet is the state of a host that this one joins, or that joins it
	joined  *member         // alive, or alive with something new
	failed  lease.ID        // silent, or gone
	stale   *member         // an earlier process of a host, as gossip tells, or as is played back
	refused *refusal        // not let in
	twins   *twins          // one ID at two addresses
	twin    *netip.AddrPort // our ID at another address, where it answered
	elder   *netip.AddrPort // the same, of one that has been running for longer
	foreign *unreadable     // gossip that cannot be decrypted
	limited *limited        // a limit has ended a connection
}

// member is another host that is alive.
type member struct {
	id       lease.ID
	underlay netip.AddrPort
	meta     meta
}

// refusal is a host that we don't join, and why.
type refusal struct {
	id       lease.ID // zero: it has none
	name     string
	underlay netip.AddrPort
	why      string
}

// twins are two hosts with one ID.
type twins struct {
	id   lease.ID
	here netip.AddrPort // the one we know
	also netip.AddrPort
}

// again tells an event that comes again, or can do without, from one that memberlist tells once.
func (e event) again() bool {
	return e.joined == nil && e.failed.IsZero() && e.twin == nil && e.elder == nil
}

// inbox is where callbacks leave events. It never blocks and is bounded:
// gossip is lossy anyway, and what is lost comes again.
type inbox struct {
	mu     sync.Mutex
	events []event
	signal chan struct{}
}

const inboxLimit = 8192

func newInbox() *inbox { return &inbox{signal: make(chan struct{}, 1)} }

func (b *inbox) put(e event) {
	b.mu.Lock()
	if len(b.events) < inboxLimit || !e.again() {
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

// notify wakes whoever waits on a channel of capacity one.
func notify(signal chan struct{}) {
	select {
	case signal <- struct{}{}:
	default:
	}
}
