package gossip

import (
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/gremesh/gremesh/mesh"
)

// problems holds the problems to show to the operator, by key. A problem
// replaces an earlier one with the same key. If the agent cannot observe the
// end of a problem, the problem expires after unlessAgain.
type problems struct {
	byKey map[string]timedProblem
}

type timedProblem struct {
	mesh.Problem
	until time.Time // zero: forever
}

const (
	forever    = time.Duration(0)
	problemTTL = 2 * time.Minute
)

// refusedPeer is a kind of problem about a host that was not admitted. Each kind
// has its own limit. Otherwise a kind that any machine can cause could hide the
// problems of another kind.
type refusedPeer string

const (
	refusedHost    refusedPeer = "refused "   // its answer was readable, so it has the key
	knownAddress   refusedPeer = "known "     // gossip that cannot be decrypted, from a known address
	unknownStream  refusedPeer = "stream "    // the same, over a connection from an unknown address
	unknownPacket  refusedPeer = "datagram "  // the same, in a datagram, whose source address may be forged
	refusedPeerKey             = "stranger: " // the prefix of the keys of all kinds
)

// most returns the maximum number of problems of this kind.
func (s refusedPeer) most() int {
	switch s {
	case refusedHost, knownAddress:
		return 64
	case unknownStream:
		return 32
	}
	return 16
}

func (s refusedPeer) key(at netip.Addr) string { return refusedPeerKey + string(s) + at.String() }

func newProblems() *problems { return &problems{byKey: make(map[string]timedProblem)} }

// set stores a problem for the given duration. It reports whether the problem
// is new or has changed.
func (p *problems) set(key string, problem mesh.Problem, lasts time.Duration) bool {
	old, ok := p.byKey[key]
	t := timedProblem{Problem: problem}
	if lasts != forever {
		t.until = time.Now().Add(lasts)
	}
	p.byKey[key] = t
	return !ok || old.Problem != problem
}

// setRefused stores a problem about a host that was not admitted, by its
// address. It drops the problem if the limit of its kind is reached. It reports
// whether the problem is new or has changed.
func (p *problems) setRefused(kind refusedPeer, at netip.Addr, problem mesh.Problem) bool {
	key := kind.key(at)
	if _, ok := p.byKey[key]; !ok {
		p.expire()
		count := 0
		for key := range p.byKey {
			if strings.HasPrefix(key, refusedPeerKey+string(kind)) {
				count++
			}
		}
		if count >= kind.most() {
			return false
		}
	}
	return p.set(key, problem, problemTTL)
}

// welcome removes the problems about the address of a host that is now a
// member.
func (p *problems) welcome(at netip.AddrPort) {
	for _, kind := range []refusedPeer{refusedHost, knownAddress, unknownStream, unknownPacket} {
		p.clear(kind.key(at.Addr()))
	}
}

func (p *problems) clear(key string) { delete(p.byKey, key) }

func (p *problems) expire() {
	now := time.Now()
	maps.DeleteFunc(p.byKey, func(_ string, t timedProblem) bool { return !t.until.IsZero() && now.After(t.until) })
}

// list returns the problems that have not expired, sorted by key.
func (p *problems) list() []mesh.Problem {
	p.expire()
	var list []mesh.Problem
	for _, key := range slices.Sorted(maps.Keys(p.byKey)) {
		list = append(list, p.byKey[key].Problem)
	}
	return list
}
