package gossip

import (
	"crypto/rand"
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/gremesh/gremesh/mesh/lease"
)

// signature names the sender of a packet. memberlist does not say which address
// a message came from, and does not notice that one is sent again later. So
// each process draws a stamp, and proves that it is there, at its address, by
// answering a challenge with it. A packet with another stamp counts for nothing.
type signature struct {
	From  lease.ID       `cbor:"1,keyasint"`
	Stamp uint64         `cbor:"2,keyasint"`
	At    netip.AddrPort `cbor:"3,keyasint"` // where From's gossip listens
}

// echo is a challenge or, with Reply, its answer.
type echo struct {
	Number uint64 `cbor:"1,keyasint"` // random
	Reply  bool   `cbor:"2,keyasint,omitempty"`
	Life   uint64 `cbor:"3,keyasint,omitempty"` // of the host that answers, see meta
}

// presence is a host that has answered directly.
type presence struct{ stamp uint64 }

// challenge waits for a host's direct answer, and keeps what it has sent until
// then.
type challenge struct {
	number uint64
	at     []netip.AddrPort // where the host may be, in the order to try
	tries  int
	sent   time.Time
	stash  []packet
}

const (
	challengeAgain = 300 * time.Millisecond
	challengeEnds  = 5 * time.Second // of a host that gossip does not find alive
	mostChallenges = 4096
	mostStash      = 4       // packets of one host
	mostStashed    = 1 << 15 // records in all of them
)

// newStamp is a random number that is not zero.
func newStamp() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return max(binary.BigEndian.Uint64(b[:]), 1)
}

// sign names this host as the sender.
func (n *Node) sign(p packet) packet {
	p.Sign = &signature{From: n.self, Stamp: n.stamp, At: n.cfg.Underlay}
	return p
}

// isAlive reports whether a host is alive: gossip finds it so, and it has
// answered this host directly. What others say, or what is played back, is not
// enough.
func (n *Node) isAlive(id lease.ID) bool {
	_, member := n.members[id]
	return member && n.isPresent(id)
}

// hasMet reports whether a host has ever answered this one directly, or is this
// one.
func (n *Node) hasMet(id lease.ID) bool {
	return id == n.self || n.isPresent(id) || n.sightings[id] != nil && n.sightings[id].Met
}

func (n *Node) isPresent(id lease.ID) bool { return n.presences[id].stamp != 0 }

// believes reports whether a packet comes from the process that it names. If
// that is not known yet, the packet is kept until the process has answered.
func (n *Node) believes(p packet) bool {
	if p.Sign == nil || p.Sign.From == n.self {
		return false
	}
	if known := n.presences[p.Sign.From]; known.stamp != 0 && known.stamp == p.Sign.Stamp {
		return true
	}
	n.challenge(p.Sign.From, p.Sign.At, &p)
	return false
}

// challenge asks a host for a direct answer, at the address where gossip has it
// or, if there is none or no answer comes from there, at the one given.
func (n *Node) challenge(id lease.ID, at netip.AddrPort, p *packet) {
	c := n.challenges[id]
	if c == nil {
		if len(n.challenges) >= mostChallenges {
			return
		}
		c = &challenge{number: newStamp()}
		n.challenges[id] = c
	}
	m, member := n.members[id]
	if c.at = c.at[:0]; member {
		c.at = append(c.at, m.underlay)
	}
	if lease.UsableUnderlay(at.Addr()) && (!member || at != m.underlay) {
		c.at = append(c.at, at)
	}
	if p != nil && len(c.stash) < mostStash && n.stashed+len(p.Records) <= mostStashed {
		c.stash = append(c.stash, *p)
		n.stashed += len(p.Records)
	}
	if time.Since(c.sent) >= challengeAgain {
		n.sendChallenge(id, c)
	}
}

func (n *Node) sendChallenge(id lease.ID, c *challenge) {
	if len(c.at) == 0 || n.list == nil { // nil: before Run
		return
	}
	c.sent = time.Now()
	n.sendPacket(id, c.at[c.tries%len(c.at)], packet{Mesh: n.mesh, Echo: &echo{Number: c.number}})
	c.tries++
}

// challengeSilent repeats challenges that were not answered, and gives up those
// of hosts that gossip does not find alive.
func (n *Node) challengeSilent() {
	for id := range n.members {
		if !n.isPresent(id) && n.challenges[id] == nil {
			n.challenge(id, netip.AddrPort{}, nil)
		}
	}
	for id, c := range n.challenges {
		_, member := n.members[id]
		switch {
		case !member && time.Duration(c.tries)*challengeAgain > challengeEnds:
			n.endChallenge(id)
		case time.Since(c.sent) >= challengeAgain:
			n.sendChallenge(id, c)
		}
	}
}

func (n *Node) endChallenge(id lease.ID) {
	if c := n.challenges[id]; c != nil {
		for _, p := range c.stash {
			n.stashed -= len(p.Records)
		}
		delete(n.challenges, id)
	}
}

// handleEcho answers a challenge, or takes the answer to one: the host is
// there, and what it has sent meanwhile is believed.
func (n *Node) handleEcho(p packet) (out lease.Output) {
	from := p.Sign.From
	if !p.Echo.Reply {
		n.sendPacket(from, p.Sign.At, packet{Mesh: n.mesh, Echo: &echo{Number: p.Echo.Number, Reply: true, Life: n.life}})
		n.answered[from] = time.Now()
		return out
	}
	c := n.challenges[from]
	if c == nil || c.number != p.Echo.Number || p.Sign.Stamp == 0 {
		return out
	}
	n.presences[from] = presence{stamp: p.Sign.Stamp}
	seen := n.sightings.of(from)
	n.noted = n.noted || seen.Life != p.Echo.Life || !seen.Met
	seen.Life, seen.Met = p.Echo.Life, true
	n.delegate.lives.Store(from, p.Echo.Life)
	n.touched = true
	n.endChallenge(from)
	for _, kept := range c.stash {
		if kept.Sign.Stamp == p.Sign.Stamp {
			out.Add(n.believe(kept))
		}
	}
	return out
}

// newLife is the number of this process in the host's life: greater than all
// before, also when the clock was set back or the state was lost.
func newLife(last uint64, now time.Time) uint64 { return max(last+1, uint64(max(now.UnixMilli(), 0))) }
