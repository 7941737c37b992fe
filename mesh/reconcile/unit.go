package reconcile

import (
	"slices"
	"sync/atomic"
	"time"
)

// unit is a component and what the engine knows about it. Engine.mu guards all
// fields but notified.
type unit[In any] struct {
	component Component[In]
	name      string
	after     []string
	notified  atomic.Bool // Observe may return something new

	result  Result
	desired *In           // that result is about
	clean   *Snapshot[In] // the last one without a difference; nil: never yet
	due     time.Time     // when to observe again although nothing was notified; zero: never
	backoff time.Duration // zero: the last run succeeded
	retry   time.Time     // when a failed component runs again
	cooled  time.Time     // when events may make it run again before that
}

func newUnit[In any](c Component[In]) *unit[In] {
	return &unit[In]{component: c, name: c.Name(), after: c.After()}
}

// haltedBy returns the component that keeps one from running; empty: none.
func haltedBy(after []string, halted map[string]string) string {
	for _, name := range after {
		if by := halted[name]; by != "" {
			return by
		}
	}
	return ""
}

// hasReason reports whether the result may be out of date, and the component is
// not waiting after a failure.
func (u *unit[In]) hasReason(p *pass[In]) bool {
	if u.backoff > 0 {
		return p.paced || !p.began.Before(u.retryAt(p))
	}
	return u.isStale(p) || u.result.Halted != "" || u.desired != p.desired || u.anyUpstream(p.renewed)
}

// isStale reports whether Observe may return something new.
func (u *unit[In]) isStale(p *pass[In]) bool {
	return u.result.State == nil || u.backoff > 0 || u.notified.Load() ||
		!u.due.IsZero() && !p.began.Before(u.due) || u.anyUpstream(p.applied)
}

func (u *unit[In]) anyUpstream(set map[string]bool) bool {
	return slices.ContainsFunc(u.after, func(name string) bool { return set[name] })
}

// retryAt is when a component that failed runs again.
func (u *unit[In]) retryAt(p *pass[In]) time.Time {
	if u.notified.Load() || u.desired != p.desired {
		return u.cooled
	}
	return u.retry
}

// next is when the component needs another pass; zero: when something happens.
func (u *unit[In]) next(p *pass[In]) time.Time {
	switch {
	case u.result.Halted != "":
		return time.Time{}
	case u.backoff > 0:
		return u.retryAt(p)
	}
	return u.due
}

func (u *unit[In]) succeed(r Result) { u.result, u.backoff = r, 0 }

// fail keeps the state and the plan, and starts the backoff.
func (u *unit[In]) fail(err error) {
	u.result.Err, u.result.Halted, u.result.Deferred = err, "", 0
	u.backoff = min(max(2*u.backoff, firstBackoff), maxBackoff)
	now := time.Now()
	u.retry, u.cooled = now.Add(u.backoff), now.Add(min(u.backoff, eventCooldown))
}
