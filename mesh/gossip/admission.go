package gossip

import (
	"net/netip"
	"sync"

	"golang.org/x/sync/semaphore"
)

// Limits for gossip's TCP connections. memberlist reads a message of up to 20
// MiB before it decrypts it, and accepts any number of connections. Without
// these limits an address outside the mesh could fill the memory of every
// agent.
const (
	strangerStreams    = 256 // simultaneous connections from addresses of unknown hosts
	strangerPerAddress = 4   // the same, from each address
	knownStreams       = 256 // simultaneous connections from members, hosts of the lease table and seeds
	knownPerAddress    = 16  // the same, from each address

	// streamShare is the smallest share of the budget that a connection takes,
	// in bytes. Even a small message takes it, because the answer may be the
	// whole state.
	streamShare = 256 << 10
	// strangerMessage is the size of the largest message that an address
	// outside the mesh may send, in bytes. A host that joins sends its own
	// record, or the table that it kept. A table has about 100 bytes for each
	// host.
	strangerMessage = 256 << 10
	// knownMessage is memberlist's own limit for the size of a message, in
	// bytes.
	knownMessage = 20 << 20
	// plainMessage replaces knownMessage when there is no gossip key. An
	// unencrypted message does not begin with its length, so the limit itself
	// is reserved.
	plainMessage = 8 << 20

	strangerBudget = 8 << 20  // bytes of messages that may be read at the same time
	knownBudget    = 24 << 20 // the same, for known hosts; must be more than knownMessage
)

// admission limits the connections of one class of addresses. It counts them in
// total and for each address. It also shares out the bytes that may be read
// before memberlist authenticates them. Its methods are safe for concurrent
// use.
type admission struct {
	total, each int   // the largest number of connections, in total and for each address
	message     int64 // size of the largest message, in bytes
	budget      *semaphore.Weighted

	mu   sync.Mutex
	open map[netip.Addr]int
	sum  int
}

func newAdmission(total, each int, message, budget int64) *admission {
	return &admission{total: total, each: each, message: message, budget: semaphore.NewWeighted(budget), open: make(map[netip.Addr]int)}
}

// enter counts a new connection from an address and returns true. If a limit is
// reached, it counts nothing and returns false. The caller must call leave once
// for each connection that was counted.
func (a *admission) enter(from netip.Addr) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.sum >= a.total || a.open[from] >= a.each {
		return false
	}
	a.sum++
	a.open[from]++
	return true
}

func (a *admission) leave(from netip.Addr) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sum--
	if a.open[from]--; a.open[from] == 0 {
		delete(a.open, from)
	}
}
