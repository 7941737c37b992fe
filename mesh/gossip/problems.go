package gossip

import (
	"maps"
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

// mostStrangers bounds the problems about hosts that are not let in: whoever
// reaches the port can send datagrams from as many addresses as he likes.
const mostStrangers = 64

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

// stranger is set for a host, by its address, that is not let in. What is too much
// is dropped.
func (p *problems) stranger(why, address string, problem mesh.Problem) bool {
	const of = "stranger "
	key := of + why + " " + address
	if _, known := p.byKey[key]; !known {
		p.expire()
		strangers := 0
		for key := range p.byKey {
			if strings.HasPrefix(key, of) {
				strangers++
			}
		}
		if strangers >= mostStrangers {
			return false
		}
	}
	return p.set(key, problem, unlessAgain)
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
