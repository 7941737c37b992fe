package mesh

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gremesh/gremesh/mesh/lease"
	"github.com/gremesh/gremesh/ovsdb"
)

// fellBack decides for a pair that uses VXLAN, up, at second 0.
func fellBack(f *fallbacks) {
	f.decide(start, testHost(1).ID, []Host{testHost(2)}, map[lease.ID]sight{testHost(2).ID: {Type: "vxlan", Made: true, Up: true}})
}

func TestAPairIsTriedAgainWhenEitherEndIsAsked(t *testing.T) {
	for name, ask := range map[string]func(*Host, *sight){
		"here":  func(_ *Host, s *sight) { s.Retry = true },
		"there": func(h *Host, _ *sight) { h.Retry = true },
	} {
		t.Run(name, func(t *testing.T) {
			f, peer := newFallbacks(movable("vxlan")), testHost(2)
			fellBack(f)
			have, trials := "vxlan", 0
			for s := range 60 { // asked for as long, it is tried once
				seen := sight{Type: have, Made: true, Up: have == "vxlan"}
				if s > 0 {
					ask(&peer, &seen)
				}
				types, _ := f.decide(start.Add(time.Duration(s)*time.Second), testHost(1).ID, []Host{peer}, map[lease.ID]sight{peer.ID: seen})
				if have == "vxlan" && types[peer.ID] == "gre" {
					trials++
				}
				have = types[peer.ID]
			}
			if trials != 1 || have != "vxlan" {
				t.Errorf("%d trials, and %s in the end", trials, have)
			}
		})
	}
}

func TestBothEndsMayBeAskedOneAfterTheOther(t *testing.T) {
	f, peer := newFallbacks(movable("vxlan")), testHost(2)
	fellBack(f)
	trials, have := 0, "vxlan"
	for s := range 30 {
		seen := sight{Type: have, Made: true, Up: have == "vxlan", Retry: s >= 10 && s < 20}
		peer.Retry = s > 0 && s < 15
		types, _ := f.decide(start.Add(time.Duration(s)*time.Second), testHost(1).ID, []Host{peer}, map[lease.ID]sight{peer.ID: seen})
		if have == "vxlan" && types[peer.ID] == "gre" {
			trials++
		}
		have = types[peer.ID]
	}
	if trials != 2 || have != "vxlan" {
		t.Errorf("%d trials, and %s in the end", trials, have)
	}
}

func TestAPairThatRestsBeginsAnewWhenItIsAsked(t *testing.T) {
	f := newFallbacks(movable("vxlan"))
	f.run(start, 60, path{}, "gre")
	peer := testHost(2)
	pair := f.pairs[peer.ID]
	if !pair.resting.After(start.Add(time.Minute)) {
		t.Fatalf("it does not rest: %+v", pair)
	}
	peer.Silent, peer.Retry = "any", true
	now := start.Add(time.Minute)
	types, _ := f.decide(now, testHost(1).ID, []Host{peer}, map[lease.ID]sight{peer.ID: {Type: "vxlan", Made: true}})
	if types[peer.ID] != "gre" {
		t.Errorf("it begins with %s", types[peer.ID])
	}
	for s := range 12 {
		types, _ = f.decide(now.Add(time.Duration(s)*time.Second), testHost(1).ID, []Host{peer}, map[lease.ID]sight{peer.ID: {Type: types[peer.ID], Made: true}})
	}
	if types[peer.ID] != "vxlan" {
		t.Errorf("12 s later it is %s", types[peer.ID])
	}
}

// retrying is a loop with a pair on VXLAN, whose other end decides.
func retrying(w *world) *Loop {
	l := w.loop()
	l.cfg.Tunnel.Fallback = []string{"vxlan"}
	l.last.Store(&outcome{ports: func() map[string]ovsdb.Port { return map[string]ovsdb.Port{testHost(2).ID.String(): upWith("vxlan")} }})
	return l
}

func upWith(kind string) ovsdb.Port {
	return ovsdb.Port{Tunnel: ovsdb.Tunnel{Type: kind}, BFD: ovsdb.BFDStatus{State: "up"}}
}

func TestRetryWaitsForWhatComesOfIt(t *testing.T) {
	ports := func(p ovsdb.Port) *outcome {
		return &outcome{ports: func() map[string]ovsdb.Port { return map[string]ovsdb.Port{testHost(2).ID.String(): p} }}
	}
	for name, c := range map[string]struct {
		after map[time.Duration]ovsdb.Port
		kind  string
		err   string
		took  time.Duration // about
	}{
		"it passes":         {map[time.Duration]ovsdb.Port{time.Second: upWith("gre")}, "gre", "", time.Second},
		"it does not":       {map[time.Duration]ovsdb.Port{time.Second: {Tunnel: ovsdb.Tunnel{Type: "gre"}}, 4 * time.Second: upWith("vxlan")}, "vxlan", "gre does not get through between here and h2", 4 * time.Second},
		"nothing does":      {map[time.Duration]ovsdb.Port{time.Second: {Tunnel: ovsdb.Tunnel{Type: "gre"}}}, "gre", "nothing gets through", retryTimeout},
		"an older agent":    {nil, "vxlan", "gre was not tried", retryTimeout},
		"it is used anyhow": {map[time.Duration]ovsdb.Port{0: upWith("gre")}, "gre", "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := retrying(planned(testHost(2)))
				began := time.Now()
				if first, is := c.after[0]; is {
					l.last.Store(ports(first))
				}
				for after, port := range c.after {
					time.AfterFunc(after, func() { l.last.Store(ports(port)) })
				}
				kind, err := l.Retry(t.Context(), "h2")
				if kind != c.kind || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
					t.Errorf("%s, %v", kind, err)
				}
				if took := time.Since(began); took < c.took || took > c.took+2*retryLook {
					t.Errorf("it took %s, want %s", took, c.took)
				}
			})
		})
	}
}

func TestRetryRefusesWhatCantBeTried(t *testing.T) {
	dead := testHost(3)
	dead.Liveness = Failed
	twin := testHost(4)
	twin.Name = "h2"
	for host, c := range map[string]struct {
		peers []Host
		want  string
	}{
		"":                      {[]Host{testHost(2)}, `no other host ""`},
		"h9":                    {[]Host{testHost(2)}, `no other host "h9"`},
		"h2":                    {[]Host{testHost(2), twin}, "2 hosts are named"},
		"h3":                    {[]Host{testHost(2), dead}, "does not answer"},
		testHost(1).ID.String(): {[]Host{testHost(2)}, "no other host"},
	} {
		if _, err := retrying(planned(c.peers...)).Retry(t.Context(), host); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %s", host, err, c.want)
		}
	}
	if _, err := planned(testHost(2)).loop().Retry(t.Context(), "h2"); err == nil || !strings.Contains(err.Error(), "tunnel.fallback is empty") {
		t.Errorf("without another type: %v", err)
	}
}

func TestThePeerThatDecidesIsToldForAWhileThatItIsAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		low := testHost(2)
		w := planned(low)
		w.view.Self.ID = lease.ID{9}
		l, began := w.loop(), time.Now()
		l.cfg.Tunnel.Fallback = []string{"vxlan"}
		l.fallbacks = newFallbacks(l.cfg.Tunnel)
		var told []bool
		for s := range 8 {
			if s == 1 {
				l.retries.ask(time.Now(), low.ID)
				if !l.sleep(t.Context(), time.Minute) || time.Since(began) > 2*time.Second {
					t.Error("the loop is not woken")
				}
			}
			_, again := l.pass(t.Context())
			if told = append(told, w.agreed[low.ID].Retry); s == 1 && time.Until(again) > retryTold {
				t.Errorf("the next pass is in %s", time.Until(again))
			}
			time.Sleep(time.Second)
		}
		if want := []bool{false, true, true, true, true, true, false, false}; !slices.Equal(told, want) {
			t.Errorf("told %v, want %v", told, want)
		}
	})
}
