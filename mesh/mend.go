package mesh

import (
	"fmt"
	"time"

	"github.com/gremesh/gremesh/mesh/drift"
	"github.com/gremesh/gremesh/mesh/history"
)

// mends is what the parts of one pass tell each other of what they mend.
type mends struct {
	due    time.Time // when the first change that was postponed is; zero: none was
	remade string    // why Open vSwitch was given its bridge; empty: it was not
	ages   map[string]time.Duration
	asked  bool // ages are known
}

// young tells which processes were started since then. All of the machine's are
// looked at for that, so it is asked only where something differs that nothing
// else explains, once a pass.
func (m *mends) young(ages Ages, since time.Time) young {
	return youngerThan(time.Since(since), func() map[string]time.Duration {
		if !m.asked {
			m.ages, _ = ages(dockerd, vswitchd) // unknown, they are no cause
			m.asked = true
		}
		return m.ages
	})
}

// due leaves out the changes that are postponed, and reports whether there are
// none of those.
func due[C any](l *Loop, m *mends, changes []C, of func(C) drift.Drift) (now []C, whole bool) {
	found := make([]drift.Drift, len(changes))
	for i, c := range changes {
		found[i] = of(c)
	}
	postponed, until := l.fights.postponed(time.Now(), found)
	m.due = sooner(m.due, until)
	for i, c := range changes {
		if !postponed[i] {
			now = append(now, c)
		}
	}
	return now, len(now) == len(changes)
}

// mended logs a difference that was put right, and counts it. What it returns
// belongs in the history, in one go with what else the part has mended: to a
// host that joins, that is some changes for each peer.
func (l *Loop) mended(d drift.Drift, began time.Time, cause string) history.Change {
	change := l.logged(d, began, cause)
	l.fights.mended(time.Now(), d)
	return change
}

// record logs a change that was made, and keeps it.
func (l *Loop) record(d drift.Drift, began time.Time, cause string) {
	l.cfg.History.Append(l.logged(d, began, cause))
}

// logged logs a change that was made, and returns it as the history has it.
func (l *Loop) logged(d drift.Drift, began time.Time, cause string) history.Change {
	took := time.Since(began)
	l.changes.Add(1)
	l.cfg.Log.Info("changed", "object", d.Object, "was", d.Is, "is", d.Should, "cause", cause, "took", took.Round(time.Microsecond).String())
	return history.Change{
		Time: time.Now().UTC().Round(0), Object: d.Object, Was: d.Is, Is: d.Should, Cause: cause, Seconds: took.Seconds(),
	}
}

// recordLease records that this host has got a subnet, has another, or has lost
// it.
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

// firstCause is of what differs before any pass has left the part in order.
func (l *Loop) firstCause() string {
	if l.taken {
		return fmt.Sprintf("this host took %s", l.subnet)
	}
	return "the agent was started"
}
