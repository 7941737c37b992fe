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
	forever     = time.Duration(0)
	unlessAgain = 2 * time.Minute
)

// stranger is a kind of problem about a host that was not admitted. Each kind
// has its own limit. Otherwise a kind that any machine can cause could hide the
// problems of another kind.
type stranger string

const (
	refusedHost   stranger = "refused "   // its answer was readable, so it has the key
	knownAddress  stranger = "known "     // gossip that cannot be decrypted, from a known address
	unknownStream stranger = "stream "    // the same, over a connection from an unknown address
	unknownPacket stranger = "datagram "  // the same, in a datagram, whose source address may be forged
	strangerKey            = "stranger: " // the prefix of the keys of all kinds
)

// most returns the maximum number of problems of this kind.
func (s stranger) most() int {
	switch s {
	case refusedHost, knownAddress:
		return 64
	case unknownStream:
		return 32
	}
	return 16
}

func (s stranger) key(at netip.Addr) string { return strangerKey + string(s) + at.String() }

func newProblems() *problems { return &problems{byKey: make(map[string]timedProblem)} }

// set stores a problem for the given duration. It reports whether the problem
// is new or has changed.
func (p *problems) set(key string, problem mesh.Problem, lasts time.Duration) bool {
	known, ok := p.byKey[key]
	t := timedProblem{Problem: problem}
	if lasts != forever {
		t.until = time.Now().Add(lasts)
	}
	p.byKey[key] = t
	return !ok || known.Problem != problem
}

// stranger stores a problem about a host that was not admitted, by its address.
// It drops the problem if the limit of its kind is reached. It reports whether
// the problem is new or has changed.
func (p *problems) stranger(kind stranger, at netip.Addr, problem mesh.Problem) bool {
	key := kind.key(at)
	if _, known := p.byKey[key]; !known {
		p.expire()
		count := 0
		for key := range p.byKey {
			if strings.HasPrefix(key, strangerKey+string(kind)) {
				count++
			}
		}
		if count >= kind.most() {
			return false
		}
	}
	return p.set(key, problem, unlessAgain)
}

// welcome removes the problems about the address of a host that is now a
// member.
func (p *problems) welcome(at netip.AddrPort) {
	for _, kind := range []stranger{refusedHost, knownAddress, unknownStream, unknownPacket} {
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
