package gossip

import (
	"crypto/rand"
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/gremesh/gremesh/mesh/lease"
)

// signature names the sender of a packet. It is necessary for two reasons.
// memberlist does not tell which address a message came from, and it does not
// detect a replayed message.
//
// Each process therefore draws a random stamp. It proves that it runs at its
// address by answering a challenge with this stamp. A host ignores packets with
// any other stamp.
type signature struct {
	From  lease.ID       `cbor:"1,keyasint"`
	Stamp uint64         `cbor:"2,keyasint"`
	At    netip.AddrPort `cbor:"3,keyasint"` // the address where From listens for gossip
}

// echo is a challenge or, if Reply is set, the answer to one.
type echo struct {
	Number uint64 `cbor:"1,keyasint"` // random
	Reply  bool   `cbor:"2,keyasint,omitempty"`
	Life   uint64 `cbor:"3,keyasint,omitempty"` // life of the host that answers, see meta; 0 in a challenge
}

// presence records that a host has answered a challenge directly.
type presence struct{ stamp uint64 }

// challenge waits for the direct answer of a host. It keeps the packets of that
// host until then.
type challenge struct {
	number uint64
	at     []netip.AddrPort // possible addresses of the host, in the order to try them
	tries  int
	sent   time.Time
	stash  []packet
}

const (
	challengeInterval = 300 * time.Millisecond
	challengeTimeout  = 5 * time.Second // for a host that memberlist does not regard as alive
	mostChallenges    = 4096
	mostStash         = 4       // packets of one host
	mostStashed       = 1 << 15 // records in the packets of all hosts
)

// newStamp returns a random number that is not zero.
func newStamp() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return max(binary.BigEndian.Uint64(b[:]), 1)
}

// sign adds this host's signature to a packet.
func (n *Node) sign(p packet) packet {
	p.Sign = &signature{From: n.self, Stamp: n.stamp, At: n.cfg.Underlay}
	return p
}

// isAlive reports whether a host is alive. memberlist must regard it as alive,
// and it must have answered a challenge of this host. Reports of third hosts
// are not enough, because they may be wrong or replayed.
func (n *Node) isAlive(id lease.ID) bool {
	_, ok := n.members[id]
	return ok && n.isPresent(id)
}

// hasMet reports whether a host has ever answered a challenge of this host. It
// returns true for this host itself.
func (n *Node) hasMet(id lease.ID) bool {
	return id == n.self || n.isPresent(id) || n.sightings[id] != nil && n.sightings[id].Met
}

func (n *Node) isPresent(id lease.ID) bool { return n.presences[id].stamp != 0 }

// believes reports whether the process named in the signature sent the packet.
// If this is not known yet, believes challenges that process and keeps the
// packet until the answer comes.
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

// challenge asks a host for a direct answer. It first tries the address that
// memberlist has for the host. If there is no such address, or no answer from
// it, challenge tries the given one. If p is not nil, it keeps the packet
// within the limits mostStash and mostStashed.
func (n *Node) challenge(id lease.ID, at netip.AddrPort, p *packet) {
	c := n.challenges[id]
	if c == nil {
		if len(n.challenges) >= mostChallenges {
			return
		}
		c = &challenge{number: newStamp()}
		n.challenges[id] = c
	}
	m, ok := n.members[id]
	if c.at = c.at[:0]; ok {
		c.at = append(c.at, m.underlay)
	}
	if lease.UsableUnderlay(at.Addr()) && (!ok || at != m.underlay) {
		c.at = append(c.at, at)
	}
	if p != nil && len(c.stash) < mostStash && n.stashed+len(p.Records) <= mostStashed {
		c.stash = append(c.stash, *p)
		n.stashed += len(p.Records)
	}
	if time.Since(c.sent) >= challengeInterval {
		n.sendChallenge(id, c)
	}
}

func (n *Node) sendChallenge(id lease.ID, c *challenge) {
	if len(c.at) == 0 || n.list == nil { // n.list is nil before Run
		return
	}
	c.sent = time.Now()
	n.sendPacket(id, c.at[c.tries%len(c.at)], packet{Mesh: n.mesh, Echo: &echo{Number: c.number}})
	c.tries++
}

// challengeSilent sends the unanswered challenges again. After challengeEnds it
// drops the challenges to hosts that memberlist does not regard as alive.
func (n *Node) challengeSilent() {
	for id := range n.members {
		if !n.isPresent(id) && n.challenges[id] == nil {
			n.challenge(id, netip.AddrPort{}, nil)
		}
	}
	for id, c := range n.challenges {
		_, ok := n.members[id]
		switch {
		case !ok && time.Duration(c.tries)*challengeInterval > challengeTimeout:
			n.endChallenge(id)
		case time.Since(c.sent) >= challengeInterval:
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

// handleEcho answers a challenge, or handles the answer to one. After an answer
// the host counts as present, and handleEcho processes the packets kept for it.
func (n *Node) handleEcho(p packet) (out lease.Effects) {
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
	seen := n.sightings.get(from)
	n.sightingsDirty = n.sightingsDirty || seen.Life != p.Echo.Life || !seen.Met
	seen.Life, seen.Met = p.Echo.Life, true
	n.delegate.lives.Store(from, p.Echo.Life)
	n.viewDirty = true
	n.endChallenge(from)
	for _, kept := range c.stash {
		if kept.Sign.Stamp == p.Sign.Stamp {
			out.Add(n.believe(kept))
		}
	}
	return out
}

// newLife returns the life of this process. The number is greater than the life
// of every earlier process of this host. It is at least the clock's time in
// Unix milliseconds, so it also grows if the state was lost. It is at least
// last+1, so it also grows if the clock was set back.
func newLife(last uint64, now time.Time) uint64 { return max(last+1, uint64(max(now.UnixMilli(), 0))) }
