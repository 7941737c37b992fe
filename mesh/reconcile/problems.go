package reconcile

import (
	"cmp"
	"errors"
	"slices"
	"strings"
	"time"
)

// problemID identifies a problem over time, whatever its figures are.
type problemID struct{ code, object string }

func (p Problem) id() problemID { return problemID{p.Code, p.Object} }

func compareProblems(a, b Problem) int {
	return cmp.Or(cmp.Compare(a.Code, b.Code), cmp.Compare(a.Object, b.Object), cmp.Compare(a.Summary, b.Summary))
}

// visible returns the problems without those whose cause is among them, each
// problem once, sorted.
func visible(problems []Problem) []Problem {
	present := make(map[string]bool)
	for _, p := range problems {
		present[p.Code] = true
	}
	shown := slices.DeleteFunc(slices.Clone(problems), func(p Problem) bool {
		return slices.ContainsFunc(p.DependsOn, func(code string) bool { return present[code] })
	})
	slices.SortFunc(shown, compareProblems)
	return slices.CompactFunc(shown, func(a, b Problem) bool { return a.id() == b.id() })
}

// date sets Since of each problem: to now, unless it was in before.
func date(problems, before []Problem, now time.Time) []Problem {
	since := make(map[problemID]time.Time)
	for _, p := range before {
		since[p.id()] = p.Since
	}
	for i := range problems {
		p := &problems[i]
		p.Since = now
		if t, ok := since[p.id()]; ok {
			p.Since = t
		}
	}
	return problems
}

// ApplyError is a failure of Apply. The component was observed before.
type ApplyError struct {
	Component string
	Err       error
}

func (e *ApplyError) Error() string { return "apply " + e.Component + ": " + e.Err.Error() }

// Unwrap returns what the component reported.
func (e *ApplyError) Unwrap() error { return e.Err }

// failure returns the problem for an error of a component. An error that
// implements `Problem() Problem` says itself what to do.
func failure(component string, err error) Problem {
	var own interface{ Problem() Problem }
	if errors.As(err, &own) {
		return own.Problem()
	}
	return Problem{
		Code: "GM-" + strings.ToUpper(component) + "-FAILED", Object: component,
		Summary: err.Error(), Remedy: "the agent tries again; see its log",
	}
}
