package gossip

import (
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/gremesh/gremesh/mesh"
)

// problems are what the operator should know, by key: setting one again
// replaces it. Those that can't be seen to end are forgotten after a while.
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

// stranger is a kind of problem about a host that is not let in. Each kind has
// its own bound, so that problems of a kind that anybody can cause do not hide
// those of another.
type stranger string

const (
	refusedHost   stranger = "refused "   // its answer was read: it has the key
	knownAddress  stranger = "known "     // its gossip cannot be decrypted, and it is at a known address
	unknownStream stranger = "stream "    // likewise, at another address from which it has connected
	unknownPacket stranger = "datagram "  // likewise, by a datagram, whose address anybody can invent
	strangerKey            = "stranger: " // begins the keys of all
)

// most is how many problems of its kind there are at most.
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

// set reports whether the problem is a new one.
func (p *problems) set(key string, problem mesh.Problem, lasts time.Duration) bool {
	known, ok := p.byKey[key]
	t := timedProblem{Problem: problem}
	if lasts != forever {
		t.until = time.Now().Add(lasts)
	}
	p.byKey[key] = t
	return !ok || known.Problem != problem
}

// stranger sets a problem about a host that is not let in, by its address.
// Beyond the kind's bound it is dropped.
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

// welcome ends the problems about an address whose host is a member now.
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

// list returns the problems that last, sorted by key.
func (p *problems) list() []mesh.Problem {
	p.expire()
	var list []mesh.Problem
	for _, key := range slices.Sorted(maps.Keys(p.byKey)) {
		list = append(list, p.byKey[key].Problem)
	}
	return list
}
