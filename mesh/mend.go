package mesh

import (
	"fmt"
	"time"

	"github.com/gremesh/gremesh/mesh/drift"
	"github.com/gremesh/gremesh/mesh/journal"
)

// mends holds the data that the components of one pass share about their
// changes.
type mends struct {
	remade string // why Open vSwitch was given its bridge again; empty: it was not
	ages   map[string]time.Duration
	asked  bool // ages are known
}

// young returns a function that reports whether a process was started since a
// time. That function scans all processes of the host, at most once a pass.
// Therefore it must be called only if nothing else explains a difference.
func (m *mends) young(ages Ages, since time.Time) young {
	return youngerThan(time.Since(since), func() map[string]time.Duration {
		if !m.asked {
			m.ages, _ = ages(dockerd, vswitchd) // if they are not known, they explain nothing
			m.asked = true
		}
		return m.ages
	})
}

// record logs a change and appends it to the history.
func (l *Loop) record(d drift.Drift, began time.Time, cause string) {
	l.cfg.History.Append(l.logged(d, began, cause))
}

// logged logs a change and returns its entry for the history.
func (l *Loop) logged(d drift.Drift, began time.Time, cause string) journal.Change {
	took := time.Since(began)
	l.changes.Add(1)
	l.cfg.Log.Info("changed", "object", d.Object, "was", d.Is, "is", d.Should, "cause", cause, "took", took.Round(time.Microsecond).String())
	return journal.Change{
		Time: time.Now().UTC().Round(0), Object: d.Object, Was: d.Is, Is: d.Should, Cause: cause, Seconds: took.Seconds(),
	}
}

// recordLease records that this host has taken, changed or lost its subnet.
func (l *Loop) recordLease(view View) {
	was, is := l.subnet, view.Self.Subnet
	if was == is {
		return
	}
	l.subnet = is
	change := drift.Drift{Object: "lease"}
	cause := "a majority of the hosts granted it"
	if len(view.Peers) == 0 {
		cause = "no other host is known"
	}
	if was.IsValid() {
		change.Is = was.String()
	}
	if is.IsValid() {
		change.Should, l.taken = is.String(), true
	} else {
		cause = view.Waiting
	}
	l.record(change, time.Now(), cause)
}

// firstCause returns the cause of a difference in a component that no pass has
// left in order yet.
func (l *Loop) firstCause() string {
	if l.taken {
		return fmt.Sprintf("this host took %s", l.subnet)
	}
	return "the agent was started"
}
