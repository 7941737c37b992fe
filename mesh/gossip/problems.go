package gossip

import (
	"maps"
	"slices"
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

func (p *problems) clear(key string) { delete(p.byKey, key) }

// list returns the problems that last, sorted by key.
func (p *problems) list() []mesh.Problem {
	now := time.Now()
	maps.DeleteFunc(p.byKey, func(_ string, t timedProblem) bool { return !t.until.IsZero() && now.After(t.until) })
	var list []mesh.Problem
	for _, key := range slices.Sorted(maps.Keys(p.byKey)) {
		list = append(list, p.byKey[key].Problem)
	}
	return list
}
