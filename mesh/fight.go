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

// Two programs that put one object to different values would go on for ever, as
// fast as they can. What was put right fightAfter times within fightWithin, each
// time to the same, is fought over: it is still put right, with a pause
// after each time that grows to lastPause.
const (
	fightAfter  = 5
	fightWithin = 30 * time.Second
	fightOver   = time.Minute // without a difference
	firstPause  = time.Second
	lastPause   = 10 * time.Second
)

// sweepEvery is how often those are forgotten that were put right and are no
// fight: after a thousand peers have joined they are some thousand.
const sweepEvery = 10 * time.Second

// fights are the objects that were put right lately.
type fights struct {
	all   map[reconcile.Key]*fight
	begun map[reconcile.Key]*fight // those of all over which there is a fight
	swept time.Time
}

func newFights() *fights {
	return &fights{all: make(map[reconcile.Key]*fight), begun: make(map[reconcile.Key]*fight)}
}

// fight is one of them.
type fight struct {
	should string      // what it was put to
	mends  []time.Time // the last ones; fightAfter at the most
	count  int         // of the mends since
	since  time.Time
	seen   time.Time     // when it last differed
	pause  time.Duration // after the last mend; zero: no fight yet
}

func (f *fight) until() time.Time { return f.mends[len(f.mends)-1].Add(f.pause) }

// longestPause is short for protected: without it, broadcasts that come in by a
// tunnel go out by all others, and between three hosts that never ends.
func longestPause(object reconcile.Key) time.Duration {
	if object.Kind == "port" && object.Field == "protected" {
		return firstPause
	}
	return lastPause
}

// mended counts differences that were put right. It returns those over which a
// fight has thereby begun.
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

// postponed tells which of a part's differences are to be left for now, and when
// the first of them is due; zero: none is left. What can't succeed before
// something that is postponed is postponed, too.
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

// needs tells whether an object can't be made right before a difference of
// another one is mended: all that is on a device needs it, and a route needs it
// to be up, with the right address.
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

// forget leaves those alone that have been as they should be for a while.
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

// problems tells of each fight, sorted by object.
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

// whoChanges says how to find out who changes an object.
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
