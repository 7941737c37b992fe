package gossip

import (
	"net/netip"
	"sync"

	"golang.org/x/sync/semaphore"
)

// Limits of gossip's TCP connections. memberlist reads a message of up to
// 20 MiB before it decrypts it, and accepts any number of connections: without
// these limits an address outside the mesh fills the memory of every agent.
const (
	strangerStreams    = 256 // connections at once from addresses that belong to no known host
	strangerPerAddress = 4
	knownStreams       = 256 // the same of the members, the lease table's hosts and the seeds
	knownPerAddress    = 16

	// streamShare is what a connection counts at least, in bytes: the answer to
	// a small message is the whole state.
	streamShare = 256 << 10
	// strangerMessage is the largest message of an address outside the mesh, in
	// bytes. A host that joins sends its own record, or the table that it kept:
	// about 100 bytes for each host.
	strangerMessage = 256 << 10
	// knownMessage is memberlist's own limit of a message, in bytes.
	knownMessage = 20 << 20
	// plainMessage replaces knownMessage without a gossip key: plain text does
	// not begin with its length.
	plainMessage = 8 << 20

	strangerBudget = 8 << 20  // bytes of messages that are read at once
	knownBudget    = 24 << 20 // likewise; more than knownMessage
)

// admission counts the connections of one class of addresses, in total and for
// each address, and shares out the bytes that may be read before they are
// authenticated. Its methods may be called at the same time.
type admission struct {
	total, each int
	message     int64 // bytes of the largest message
	budget      *semaphore.Weighted

	mu   sync.Mutex
	open map[netip.Addr]int
	sum  int
}

func newAdmission(total, each int, message, budget int64) *admission {
	return &admission{total: total, each: each, message: message, budget: semaphore.NewWeighted(budget), open: make(map[netip.Addr]int)}
}

// enter counts a new connection of an address, unless a limit is reached. The
// caller calls leave for each connection that entered.
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
