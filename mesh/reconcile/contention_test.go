package reconcile

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// flip is another program, which sets a value whenever it differs.
func flip(t *testing.T, f *fake, object, value string) (stop func()) {
	done := make(chan struct{})
	go func() {
		for {
			select {
			case <-done:
				return
			case <-time.After(20 * time.Millisecond):
				if f.machine.get(f.name)[object] != value {
					f.machine.set(f.name, object, value)
					f.events <- struct{}{}
				}
			}
		}
	}()
	t.Cleanup(func() {
		select {
		case <-done:
		default:
			close(done)
		}
	})
	return func() { close(done) }
}

func applied(calls []string) (n int) {
	for _, c := range calls {
		if strings.HasPrefix(c, "apply") {
			n++
		}
	}
	return n
}

func TestAContendedObjectIsChangedEverMoreRarely(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine()
		a := newFake(m, "a")
		e := newEngine(t, options(t, m, newSource(wish{"a": {"x": "1", "y": "1"}}), &investigator{a}))
		start(t, e)
		stop := flip(t, a, "x", "2")
		time.Sleep(5 * time.Second)
		if n := applied(m.taken()); n < contendedAfter || n > contendedAfter+4 {
			t.Errorf("within 5 s the value was set %d times", n)
		}
		time.Sleep(time.Minute)
		m.taken()
		time.Sleep(time.Minute)
		if n := applied(m.taken()); n < 5 || n > 7 {
			t.Errorf("within a minute the value was set %d times, want once in 10 s", n)
		}
		m.set("a", "y", "2")
		a.events <- struct{}{}
		time.Sleep(time.Second)
		if m.get("a")["y"] != "1" {
			t.Error("an object that is not contended waits, too")
		}
		problems := e.Last().Problems
		if len(problems) != 1 || problems[0].Code != ContentionCode || problems[0].Object != "value x" || !strings.HasPrefix(problems[0].Remedy, "look for x (corrected ") {
			t.Errorf("the problems are %+v", problems)
		}
		if problems[0].Since.IsZero() || time.Since(problems[0].Since) < 100*time.Second {
			t.Errorf("the problem exists since %s", problems[0].Since)
		}
		stop()
		time.Sleep(contentionEnd + 45*time.Second) // and a resync
		if problems := e.Last().Problems; len(problems) > 0 || m.get("a")["x"] != "1" {
			t.Errorf("without the other program: %v, %+v", m.get("a"), problems)
		}
	})
}

type investigator struct{ *fake }

func (i *investigator) Investigate(k Key) string { return "look for " + k.Name }

func TestChangesThatNeedADeferredOneAreDeferred(t *testing.T) {
	now := time.Now()
	key := func(name string) Key { return Key{"a", "value", name, ""} }
	bridge, port, route := Change{Key: key("bridge"), To: "br0"}, Change{Key: key("port"), Needs: []Key{key("bridge")}}, Change{Key: key("route"), Needs: []Key{key("port")}}
	other := Change{Key: key("other"), To: "1"}
	c := contention{objects: make(map[Key]*contended)}
	for range contendedAfter {
		c.applied(now, []Change{bridge})
	}
	ready, due := c.split(now, []Change{route, port, bridge, other}, nil)
	if len(ready) != 1 || ready[0].Key != other.Key || !due.Equal(now.Add(firstDelay)) {
		t.Errorf("ready: %+v, due in %s", ready, due.Sub(now))
	}
	bridge.To = "br1" // another value has no history
	if ready, due := c.split(now, []Change{bridge, port}, nil); len(ready) != 2 || !due.IsZero() {
		t.Errorf("with another value, ready: %+v", ready)
	}
}

// The gate and the filter change the same tables.
func TestAMissingChangeDefersOnlyWhatNeedsIt(t *testing.T) {
	key := func(name string) Key { return Key{"filter", "table", name, ""} }
	table, rule, other := Change{Key: key("gremesh"), To: "closed"}, Change{Key: key("rule"), Needs: []Key{key("gremesh")}}, Change{Key: key("other")}
	c := contention{objects: make(map[Key]*contended)}
	ready, due := c.split(time.Now(), []Change{table, rule, other}, map[Key]bool{table.Key: true})
	if len(ready) != 2 || ready[0].Key != table.Key || ready[1].Key != other.Key || !due.IsZero() {
		t.Errorf("ready: %+v, due at %s", ready, due)
	}
}

func TestTheDelayUnderContentionIsBounded(t *testing.T) {
	for _, test := range []struct{ limit, want time.Duration }{{0, maxDelay}, {time.Second, time.Second}} {
		now := time.Now()
		change := Change{Key: Key{"ovs", "port", "gre43", "protected"}, To: "true", MaxDelay: test.limit}
		c := contention{objects: make(map[Key]*contended)}
		for range 20 {
			c.applied(now, []Change{change})
		}
		if _, due := c.split(now, []Change{change}, nil); due.Sub(now) != test.want {
			t.Errorf("with the bound %s the delay is %s", test.limit, due.Sub(now))
		}
		for range 20 { // the record of what was applied does not grow
			c.applied(now, []Change{change})
		}
		if n := len(c.objects[change.Key].applied); n > contendedAfter {
			t.Errorf("%d times are kept", n)
		}
	}
}

func TestRareChangesAreNoContention(t *testing.T) {
	now := time.Now()
	c := contention{objects: make(map[Key]*contended)}
	for i := range 10 {
		c.applied(now.Add(time.Duration(i)*10*time.Second), []Change{{Key: Key{Name: "x"}, To: "1"}})
	}
	if problems := c.problems(nil); len(problems) > 0 {
		t.Errorf("one change in 10 s is contention: %+v", problems)
	}
	c.sweep(now.Add(10 * time.Minute))
	if len(c.objects) > 0 {
		t.Errorf("after ten minutes without a difference it keeps %v", slices.Collect(func(yield func(Key) bool) {
			for k := range c.objects {
				yield(k)
			}
		}))
	}
}

// Another program changes an object every so often. How often is it set?
func TestHowOftenAnObjectIsSetUnderContention(t *testing.T) {
	route, protected := Change{Key: Key{Kind: "route", Name: "172.17.0.0/16"}, To: "there"}, Change{Key: Key{Kind: "port", Name: "gre43"}, To: "true", MaxDelay: time.Second}
	for name, c := range map[string]struct {
		what      Change
		every     time.Duration // it is changed, if it was set
		lasts     time.Duration
		applied   int
		contended bool
	}{
		"now and then":            {route, 10 * time.Second, 10 * time.Minute, 60, false},
		"four times, then never":  {route, time.Second, 4 * time.Second, 4, false},
		"once a second":           {route, time.Second, time.Minute, 5 + 4 + 4, true}, // +1, +2, +4, +8, and then every 10 s
		"100 times a second":      {route, 10 * time.Millisecond, time.Minute, 5 + 4 + 4, true},
		"with a bound of its own": {protected, 10 * time.Millisecond, time.Minute, 5 + 60, true},
	} {
		t.Run(name, func(t *testing.T) {
			all, now, applied := contention{objects: make(map[Key]*contended)}, time.Unix(1e9, 0), 0
			remedy := func(Key) string { return "" }
			for end := now.Add(c.lasts); now.Before(end); now = now.Add(c.every) {
				all.sweep(now)
				if ready, _ := all.split(now, []Change{c.what}, nil); len(ready) > 0 {
					applied++
					all.applied(now, ready)
				}
			}
			if applied < c.applied-1 || applied > c.applied || (len(all.problems(remedy)) > 0) != c.contended {
				t.Errorf("set %d times, want %d; %+v", applied, c.applied, all.problems(remedy))
			}
			if all.sweep(now.Add(contentionEnd)); len(all.objects) > 0 {
				t.Errorf("it is not forgotten: %+v", all.problems(remedy))
			}
		})
	}
}

func TestContentionIsCountedFromItsFirstChange(t *testing.T) {
	all, now := contention{objects: make(map[Key]*contended)}, time.Unix(1e9, 0)
	c := []Change{{Key: Key{Kind: "route", Name: "172.17.0.0/16"}, To: "there"}}
	all.applied(now, c) // long before
	now = now.Add(contentionWindow + time.Second)
	began := now
	for range contendedAfter {
		all.applied(now, c)
		now = now.Add(time.Second)
	}
	want := "5 times since " + began.Format(time.TimeOnly)
	if p := all.problems(func(Key) string { return "" }); len(p) != 1 || !strings.Contains(p[0].Remedy, want) {
		t.Errorf("%+v, want %q", p, want)
	}
}

func TestAnotherDesiredValueIsNoContention(t *testing.T) {
	all, now := contention{objects: make(map[Key]*contended)}, time.Unix(1e9, 0)
	for i := range 20 {
		c := []Change{{Key: Key{Kind: "port", Name: "gre43"}, To: strings.Repeat("x", i)}}
		if ready, _ := all.split(now, c, nil); len(ready) == 0 {
			t.Fatal("the desired value has changed each time")
		}
		all.applied(now, c)
	}
}
