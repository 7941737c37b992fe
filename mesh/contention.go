package mesh

import "github.com/gremesh/gremesh/mesh/reconcile"

// contended returns the problems of the objects that the engine found to be
// contended.
func (l *Loop) contended() []Problem {
	var problems []Problem
	for _, p := range l.engine.Last().Problems {
		if p.Code == reconcile.ContentionCode {
			problems = append(problems, Problem{What: p.Summary, Do: p.Remedy})
		}
	}
	return problems
}
