package mesh

import (
	"errors"
	"slices"

	"github.com/gremesh/gremesh/mesh/reconcile"
	"github.com/gremesh/gremesh/ovsdb"
)

// giveOVS hands to the engine what the pass has observed.
func (l *Loop) giveOVS(have ovsdb.State, err error) {
	l.ovsSeen = &ovsObserved{have, err}
	r := l.engine.Last().Result(ovsComponent)
	if last, ok := r.State.(ovsdb.Observation); err != nil || r.Err != nil || !ok || !last.Unchanged(have) {
		l.engine.Notify(ovsComponent)
	}
}

// ovsOutcome returns Open vSwitch as the engine left it, and the problems that
// only an operator can solve.
func (l *Loop) ovsOutcome(have ovsdb.State) (ovsdb.State, []Problem, error) {
	r := l.engine.Last().Result(ovsComponent)
	r.Plan.Problems = slices.DeleteFunc(slices.Clone(r.Plan.Problems), func(p reconcile.Problem) bool {
		return p.Code == ovsdb.DownCode // known before anything is planned
	})
	problems := problemsOf(r)
	if r.Err != nil {
		return have, problems, errors.Unwrap(r.Err)
	}
	last, ok := r.State.(ovsdb.Observation)
	if !ok { // ctx has ended
		return have, nil, nil
	}
	if len(r.Plan.Changes) == 0 {
		l.cut = nil
	}
	return last.State, problems, nil
}
