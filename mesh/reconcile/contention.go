package reconcile

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// If two programs want different values for one object, they overwrite each
// other in a tight loop. An object that was changed contendedAfter times within
// contentionWindow, always to the same value, is contended. The engine still
// changes it, with a delay that doubles up to maxDelay.
const (
	contendedAfter   = 5
	contentionWindow = 30 * time.Second
	contentionEnd    = time.Minute // without a difference
	firstDelay       = time.Second
	maxDelay         = 10 * time.Second
	sweepInterval    = 10 * time.Second
)

// ContentionCode is the code of problems about contended objects.
const ContentionCode = "GM-CONTENTION"

// contention counts how often each object was changed.
type contention struct {
	objects map[Key]*contended
	swept   time.Time
}

// contended is an object that was changed lately.
type contended struct {
	to       string
	applied  []time.Time // the last ones, contendedAfter at most
	count    int         // of changes since
	since    time.Time
	differed time.Time     // when it last had another value
	delay    time.Duration // after the last change; zero: not contended
}

func (c *contended) due() time.Time { return c.applied[len(c.applied)-1].Add(c.delay) }

// applied counts changes that were made.
func (c *contention) applied(now time.Time, changes []Change) {
	for _, change := range changes {
		o := c.objects[change.Key]
		if o == nil || o.to != change.To {
			o = &contended{to: change.To}
			c.objects[change.Key] = o
		}
		o.differed = now
		o.count++
		o.applied = append(o.applied, now)
		if o.delay > 0 {
			limit := maxDelay
			if change.MaxDelay > 0 {
				limit = change.MaxDelay
			}
			o.applied = o.applied[1:]
			o.delay = min(2*o.delay, limit)
			continue
		}
		o.applied = slices.DeleteFunc(o.applied, func(t time.Time) bool { return now.Sub(t) > contentionWindow })
		if o.count, o.since = len(o.applied), o.applied[0]; o.count == contendedAfter {
			o.delay = firstDelay
		}
	}
}

// split returns the changes to apply now, and when the first of the others is
// due; zero if none is due by itself. A change waits together with one that it
// needs, which may be among the missing changes of other components. Two
// components may change one object: a missing change of that object alone
// defers nothing.
func (c *contention) split(now time.Time, changes []Change, missing map[Key]bool) (ready []Change, due time.Time) {
	deferred := make(map[Key]bool)
	for _, change := range changes {
		o := c.objects[change.Key]
		if o == nil {
			continue
		}
		o.differed = now
		if o.to == change.To && now.Before(o.due()) {
			deferred[change.Key] = true
			due = earliest(due, o.due())
		}
	}
	waits := func(k Key) bool { return deferred[k] || missing[k] }
	for more := len(deferred)+len(missing) > 0; more; {
		more = false
		for _, change := range changes {
			if !deferred[change.Key] && slices.ContainsFunc(change.Needs, waits) {
				deferred[change.Key], more = true, true
			}
		}
	}
	for _, change := range changes {
		if !deferred[change.Key] {
			ready = append(ready, change)
		}
	}
	return ready, due
}

// sweep forgets objects that have kept their value for a while.
func (c *contention) sweep(now time.Time) {
	if now.Sub(c.swept) < sweepInterval {
		return
	}
	c.swept = now
	maps.DeleteFunc(c.objects, func(_ Key, o *contended) bool { return now.Sub(o.differed) >= contentionEnd })
}

// problems returns one problem for each contended object, sorted. investigate
// says how to find the other program.
func (c *contention) problems(investigate func(Key) string) []Problem {
	var problems []Problem
	for key, o := range c.objects {
		if o.delay == 0 {
			continue
		}
		to := o.to
		if to == "" {
			to = "nothing: it should not exist"
		}
		problems = append(problems, Problem{
			Code: ContentionCode, Object: key.String(),
			Summary: fmt.Sprintf("another program keeps changing %s; gremesh keeps setting it to %s", key, to),
			Remedy:  fmt.Sprintf("%s (corrected %d times since %s, now every %s)", investigate(key), o.count, o.since.Format(time.TimeOnly), o.delay),
		})
	}
	slices.SortFunc(problems, compareProblems)
	return problems
}

// earliest returns the earlier of two times. The zero time means never.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
