package mesh

import (
	"context"
	"slices"
	"time"

	"github.com/gremesh/gremesh/mesh/drift"
	"github.com/gremesh/gremesh/mesh/journal"
	"github.com/gremesh/gremesh/ovsdb"
)

// keepSwitch reconciles Open vSwitch. It returns the state after that, and
// problems that only an operator can solve.
func (l *Loop) keepSwitch(ctx context.Context, now switchScene, desired *Desired, mends *mends) (ovsdb.State, []Problem, error) {
	if in := l.seen.ovs; in != nil && in.desired == desired && in.have.Unchanged(now.have) {
		(*l.scene).at = now.at
		return now.have, in.problems, nil
	}
	// Find the unsettled objects once, and use them for all checks below.
	want, left := ovsdb.Unsettled(now.want, now.have)
	have, whole, err := l.mendSwitch(ctx, now, ovsdb.Diff(want, left), mends)
	if !have.Unchanged(now.have) {
		want, left = ovsdb.Unsettled(now.want, have)
	}
	var problems []Problem
	for _, c := range slices.Concat(ovsdb.Conflicts(want, left), ovsdb.Loops(now.want.Bridge, have)) {
		problems = append(problems, Problem{What: c.Key.String() + ": " + c.What, Do: c.Do})
	}
	problems = slices.Clip(append(problems, learning(now.want, have)...))
	l.seen.ovs = nil
	if whole && err == nil && len(ovsdb.Diff(want, left)) == 0 {
		l.seen.ovs = &ovsSeen{have, desired, problems}
	}
	return have, problems, err
}

// mendSwitch applies the changes that are not postponed. The result whole is
// true if it postponed none.
func (l *Loop) mendSwitch(ctx context.Context, now switchScene, found []ovsdb.Change, mends *mends) (have ovsdb.State, whole bool, err error) {
	changes, whole := due(l, mends, found, func(c ovsdb.Change) drift.Drift { return c.Drift })
	left := now
	if len(changes) > 0 {
		began := time.Now()
		if err := l.cfg.Switch.Apply(ctx, changes); err != nil {
			return now.have, false, err
		}
		var made []journal.Change
		for _, c := range changes {
			cause := l.firstCause()
			if last := *l.scene; last != nil {
				cause = now.cause(*last, mends.young(l.cfg.Ages, last.at), c.Drift)
			}
			if c.Key.Kind == "bridge" && c.Key.Field == "" {
				mends.remade = cause
			}
			made = append(made, l.mended(c.Drift, began, cause))
		}
		l.cfg.History.Append(made...)
		if left.have, err = l.cfg.Switch.Observe(ctx); err != nil {
			return left.have, false, err
		}
	}
	if whole {
		*l.scene = &left
	}
	return left.have, whole, nil
}
