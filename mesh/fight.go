package mesh

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/gremesh/gremesh/bridge"
	"github.com/gremesh/gremesh/mesh/drift"
	"github.com/gremesh/gremesh/mesh/reconcile"
)

// If two programs want different values for one object, they overwrite each
// other in a tight loop. An object is contended if it had to be corrected
// fightAfter times within fightWithin, always to the same value. It is still
// corrected, but after each correction comes a delay that grows to lastPause.
const (
	fightAfter  = 5
	fightWithin = 30 * time.Second
	fightOver   = time.Minute // without a difference
	firstPause  = time.Second
	lastPause   = 10 * time.Second
)

// sweepEvery is how often objects without contention are dropped from the list.
// After a thousand peers have joined, there are some thousand of them.
const sweepEvery = 10 * time.Second

// fights holds the objects that were corrected recently.
type fights struct {
	all   map[reconcile.Key]*fight
	begun map[reconcile.Key]*fight // the contended objects among all
	swept time.Time
}

func newFights() *fights {
	return &fights{all: make(map[reconcile.Key]*fight), begun: make(map[reconcile.Key]*fight)}
}

// fight is one object that was corrected.
type fight struct {
	should string      // the value that it was set to
	mends  []time.Time // times of the last corrections; at most fightAfter
	count  int         // number of corrections since then
	since  time.Time
	seen   time.Time     // last time that the object differed
	pause  time.Duration // delay after the last correction; zero: not contended yet
}

func (f *fight) until() time.Time { return f.mends[len(f.mends)-1].Add(f.pause) }

// longestPause returns the maximum delay for an object. It is short for the
// Port column protected. Without protected, broadcasts from one tunnel leave by
// all others, and between three hosts they circle forever.
func longestPause(object reconcile.Key) time.Duration {
	if object.Kind == "port" && object.Field == "protected" {
		return firstPause
	}
	return lastPause
}

// mended records differences that were corrected. It returns those whose
// objects have just become contended.
func (f *fights) mended(now time.Time, what ...drift.Drift) (begun []drift.Drift) {
	for _, d := range what {
		one := f.all[d.Key]
		if one == nil || one.should != d.Should {
			one = &fight{should: d.Should}
			f.all[d.Key] = one
			delete(f.begun, d.Key)
		}
		one.seen = now
		one.count++
		one.mends = append(one.mends, now)
		if one.pause > 0 {
			one.mends = one.mends[1:]
			one.pause = min(2*one.pause, longestPause(d.Key))
			continue
		}
		one.mends = slices.DeleteFunc(one.mends, func(t time.Time) bool { return now.Sub(t) > fightWithin })
		if one.count, one.since = len(one.mends), one.mends[0]; one.count == fightAfter {
			one.pause, f.begun[d.Key] = firstPause, one
			begun = append(begun, d)
		}
	}
	return begun
}

// postponed reports for each difference of a component whether it must be left
// for now. It also postpones differences that cannot be corrected before a
// postponed one. The result due is the time of the first postponed one; zero:
// there is none.
func (f *fights) postponed(now time.Time, found []drift.Drift) (left []bool, due time.Time) {
	left = make([]bool, len(found))
	for i, d := range found {
		one := f.all[d.Key]
		if one == nil {
			continue
		}
		one.seen = now
		if one.should == d.Should && now.Before(one.until()) {
			left[i] = true
			due = sooner(due, one.until())
		}
	}
	for i, d := range found {
		if left[i] {
			for j, other := range found {
				left[j] = left[j] || needs(other.Key, d)
			}
		}
	}
	return left, due
}

// needs reports whether an object can be corrected only after another
// difference is. Everything on a device needs the device. A route needs its
// device to be up and to have the right address.
func needs(object reconcile.Key, other drift.Drift) bool {
	switch key := other.Key; {
	case key.Kind == "bridge" && other.Is == "":
		return true
	case key.Kind == "link" && other.Is == "" && key.Field == "":
		return true
	case key.Kind == bridge.KindAddress, key.Kind == "link" && key.Field == "state":
		return object.Kind == "route"
	}
	return false
}

// forget drops the objects that have not differed for a while.
func (f *fights) forget(now time.Time) {
	over := func(_ reconcile.Key, one *fight) bool { return now.Sub(one.seen) >= fightOver }
	for object, one := range f.begun {
		if over(object, one) {
			delete(f.all, object)
			delete(f.begun, object)
		}
	}
	if now.Sub(f.swept) >= sweepEvery {
		maps.DeleteFunc(f.all, over)
		f.swept = now
	}
}

// problems returns one problem for each contended object, sorted by object.
func (f *fights) problems() []Problem {
	var problems []Problem
	for _, object := range slices.SortedFunc(maps.Keys(f.begun), func(a, b reconcile.Key) int { return cmp.Compare(a.String(), b.String()) }) {
		one := f.begun[object]
		should := one.should
		if should == "" {
			should = "nothing: it should not exist"
		}
		problems = append(problems, Problem{
			What: fmt.Sprintf("another program keeps changing %s; gremesh keeps setting it to %s", object, should),
			Do: fmt.Sprintf("find the program and stop it: %s (corrected %d times since %s, now every %s)",
				whoChanges(object), one.count, one.since.Format(time.TimeOnly), one.pause),
		})
	}
	return problems
}

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

// whoChanges returns a hint on how to find the program that changes an object.
func whoChanges(object reconcile.Key) string {
	switch object.Kind {
	case "bridge", "port", "interface":
		return "`journalctl -t ovs-vsctl` has the commands that were run, `ovsdb-client monitor Interface,Port,Bridge` shows when"
	case "sysctl":
		return "`grep -r " + object.Name + " /etc/sysctl.conf /etc/sysctl.d /run/sysctl.d /usr/lib/sysctl.d`, and what your configuration management sets"
	case "daemon.json":
		return "your configuration management, or `auditctl -w` on the file and then `ausearch -f daemon.json`"
	}
	if object.Component == "filter" {
		return "`nft monitor` shows when, and the process (of iptables-legacy nothing)"
	}
	return "`ip -ts monitor link address route` shows when; `networkctl` and `nmcli device` whether systemd-networkd or NetworkManager has docker0 or br0"
}
