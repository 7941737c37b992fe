package mesh

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gremesh/gremesh/bridge/filter"
	"github.com/gremesh/gremesh/mesh/lease"
	"github.com/gremesh/gremesh/ovsdb"
)

// withFallback makes the loop's pairs move to vxlan, and its switch what the
// loop wants, where nothing passes but passing.
func (w *world) withFallback(passing ...string) *Loop {
	l := w.loop()
	l.cfg.Tunnel.Fallback = []string{"vxlan"}
	desired, _ := Plan(l.cfg.Config, w.view, nil)
	w.nat = filter.Listed(guarded(desired.NAT, w.ovs, nil, true))
	l.cfg.UnderlayMTU += 12 // so that the rest is as planned
	l.fallbacks = newFallbacks(l.cfg.Tunnel)
	l.cfg.Switch = movingSwitch{fakeSwitch{w}, l, passing}
	return l
}

type movingSwitch struct {
	fakeSwitch
	loop    *Loop
	passing []string
}

func (f movingSwitch) Apply(context.Context, []ovsdb.Change) error {
	f.applied = append(f.applied, "switch")
	desired, _ := f.loop.plan(f.view, nil, f.ovs)
	f.ovs.Ports = nil
	for i, t := range desired.Switch.Tunnels {
		port := ovsdb.Port{
			Tunnel: t, Bridge: "br0", Interfaces: []string{t.Name}, Ours: true, Mesh: f.view.Mesh, Protected: true,
			OfPort: i + 1, BFD: ovsdb.BFDStatus{State: "down"},
		}
		if slices.Contains(f.passing, t.Type) {
			port.BFD.State = "up"
		}
		f.ovs.Ports = append(f.ovs.Ports, port)
	}
	return nil
}

// portsOf are the names of the ports, in order.
func (w *world) portsOf() string {
	var names []string
	for _, p := range w.ovs.Ports {
		names = append(names, p.Name)
	}
	return strings.Join(names, " ")
}

func TestAPairAndOnlyItMovesAndThisIsSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := planned(testHost(2), testHost(3))
		l := w.withFallback("vxlan")
		pass(t, l)
		w.ovs.Ports[0].BFD.State = "down" // gre43, to h2
		w.view.Peers[0].Silent = "gre"
		var again time.Time
		begun := time.Now()
		for w.portsOf() == "gre43 gre44" {
			if _, again = l.pass(t.Context()); !again.After(time.Now()) || time.Since(begun) > time.Minute {
				t.Fatalf("after %s nothing has moved; the next pass is in %s", time.Since(begun), time.Until(again))
			}
			if time.Since(begun) >= tellAfter && w.agreed[testHost(2).ID].Silent != "gre" && w.portsOf() == "gre43 gre44" {
				t.Errorf("after %s the peer is told %+v", time.Since(begun), w.agreed)
			}
			time.Sleep(time.Until(again))
		}
		if got := w.portsOf(); got != "gre44 vxlan43" || time.Since(begun) < fallbackAfter {
			t.Fatalf("after %s the ports are %s", time.Since(begun), got)
		}
		if w.agreed[testHost(2).ID].Type != "vxlan" || w.agreed[testHost(3).ID].Type != "gre" {
			t.Errorf("the peers are told %+v", w.agreed)
		}
		const why = "IP protocol 47 is filtered between here and h2"
		var mends []string
		for _, c := range w.history {
			mends = append(mends, c.Object+": "+c.Cause)
		}
		if got := strings.Join(mends, "; "); got != "port vxlan43: "+why+"; port gre43: "+why {
			t.Errorf("the history has %s", got)
		}
		pass(t, l)
		if !w.says(l, "IP protocol 47 (GRE) is filtered between here and h2 (192.168.248.140): this pair uses vxlan (UDP port 4789)") {
			t.Errorf("problems: %+v", l.Status(t.Context()).Problems)
		}
		status := l.Status(t.Context())
		if tunnel := status.Peers[0].Tunnel; tunnel.Type != "vxlan" || strings.Join(tunnel.Filtered, " ") != "gre" {
			t.Errorf("status: %+v", tunnel)
		}
		audit := l.Audit(t.Context())
		if len(audit.Drift)+len(audit.Problems) > 0 || len(audit.Filtered) != 1 {
			t.Errorf("audit: %+v", audit)
		}
		if preview := l.Plan(t.Context()); len(preview.Drift) > 0 {
			t.Errorf("plan: %+v", preview.Drift)
		}
		row := l.Row(t.Context())
		for _, c := range row.Cells {
			if len(c.Drift) > 0 || !c.Desired || !c.Configured {
				t.Errorf("row: %+v", c)
			}
		}
		if err := row.Validate(); err != nil || row.Type != "gre" {
			t.Errorf("row of type %q: %v", row.Type, err)
		}
	})
}

func TestAFallbackOutlivesTheAgentAtBothEnds(t *testing.T) {
	for name, self := range map[string]int{"the end that decides": 1, "the end that follows": 3} {
		t.Run(name, func(t *testing.T) {
			w := planned(testHost(2))
			w.view.Self.ID, w.view.Peers[0].Tunnel = testHost(self).ID, "vxlan"
			l := w.withFallback("vxlan")
			l.decided.Store(&map[lease.ID]string{testHost(2).ID: "vxlan"})
			must := l.cfg.Switch.Apply(t.Context(), nil)
			if must != nil || w.portsOf() != "vxlan43" {
				t.Fatal(must, w.portsOf())
			}
			w.applied, w.view.Peers[0].Tunnel = nil, "" // nothing has been told yet
			l = w.withFallback("vxlan")
			if audit := l.Audit(t.Context()); len(audit.Drift) > 0 {
				t.Errorf("before the first pass: %+v", audit.Drift)
			}
			if pass(t, l); len(w.applied) > 0 || w.portsOf() != "vxlan43" {
				t.Errorf("applied %v, ports %s", w.applied, w.portsOf())
			}
			preview := LoopConfig{
				Config: l.cfg.Config, Switch: l.cfg.Switch, Kernel: l.cfg.Kernel, Docker: l.cfg.Docker, NAT: l.cfg.NAT, Masquerade: l.cfg.Masquerade,
			}.Preview(t.Context(), w.view, nil)
			if len(preview.Drift) > 0 {
				t.Errorf("without an agent: %+v", preview.Drift)
			}
		})
	}
}

func TestAnAdoptedPortGivesWayToTheOtherType(t *testing.T) {
	w := planned(testHost(2))
	w.view.Self.ID = testHost(3).ID // the higher of the two
	w.ovs.Ports[0].Name, w.ovs.Ports[0].Interfaces, w.ovs.Ports[0].Adopted = "gre1", []string{"gre1"}, true
	w.view.Peers[0].Tunnel = "gre"
	l := w.withFallback("vxlan")
	if pass(t, l); w.portsOf() != "gre1" {
		t.Fatalf("with gre it has %s", w.portsOf())
	}
	w.view.Peers[0].Tunnel = "vxlan"
	if pass(t, l); w.portsOf() != "vxlan43" || len(w.history) != 2 {
		t.Fatalf("it has %s; %+v", w.portsOf(), w.history)
	}
	for _, c := range w.history {
		if c.Cause != "IP protocol 47 is filtered between here and h2" {
			t.Errorf("%s: %s", c.Object, c.Cause)
		}
	}
}

func TestAHostFollowsWhatItIsTold(t *testing.T) {
	w := planned(testHost(2))
	w.view.Self.ID = testHost(3).ID // the higher of the two
	l := w.withFallback("gre", "vxlan")
	pass(t, l)
	for _, kind := range []string{"vxlan", "gre"} {
		w.view.Peers[0].Tunnel = kind
		if pass(t, l); w.portsOf() != kind+"43" || w.agreed[testHost(2).ID].Type != "" {
			t.Errorf("told %s, it has %s and tells %+v", kind, w.portsOf(), w.agreed)
		}
	}
	last := w.history[len(w.history)-1]
	if last.Cause != "gre is tried again with h2" {
		t.Errorf("the cause is %q", last.Cause)
	}
}

func TestAnOpenVSwitchThatCanNotBeSeenIsSilentToNobodyAndDecidesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := planned(testHost(2))
		l := w.withFallback("vxlan")
		pass(t, l)
		w.ovs.Ports[0].BFD.State, w.view.Peers[0].Silent = "down", "gre"
		pass(t, l)
		w.ovsErr = context.DeadlineExceeded
		for range 60 {
			time.Sleep(time.Second)
			pass(t, l)
		}
		if got := w.agreed[testHost(2).ID]; got != (Pair{Type: "gre"}) {
			t.Errorf("the peer is told %+v", got)
		}
	})
}

func TestWhatDoesNotGetThrough(t *testing.T) {
	peer := testHost(2)
	now := start.Add(time.Hour)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	both := []string{"gre", "vxlan"}
	for name, c := range map[string]struct {
		types  []string
		kind   string
		s      silence
		silent string // as the peer says
		want   string
	}{
		"well":                       {both, "gre", silence{}, "", ""},
		"silent for a moment":        {both, "gre", silence{kind: "gre", of: ago(9 * time.Second), since: ago(9 * time.Second)}, "gre", ""},
		"silent for long":            {both, "gre", silence{kind: "gre", of: ago(10 * time.Second), since: ago(10 * time.Second)}, "gre", "gre"},
		"silent here only":           {both, "gre", silence{kind: "gre", of: ago(time.Minute), since: ago(time.Minute)}, "", ""},
		"moved":                      {both, "vxlan", silence{}, "", "gre"},
		"just moved":                 {both, "vxlan", silence{kind: "gre", of: ago(10 * time.Second), since: ago(10 * time.Second)}, "gre", "gre"},
		"moved in vain":              {both, "vxlan", silence{kind: "vxlan", of: ago(11 * time.Second), since: ago(22 * time.Second)}, "vxlan", "gre vxlan"},
		"back at the first":          {both, "gre", silence{kind: "gre", of: ago(12 * time.Second), since: ago(33 * time.Second)}, "gre", "gre vxlan"},
		"nothing else is configured": {both[:1], "gre", silence{kind: "gre", of: ago(time.Hour), since: ago(time.Hour)}, "gre", "gre"},
	} {
		peer.Silent = c.silent
		if got := strings.Join(blocked(now, peer, ovsdb.Tunnel{Type: c.kind}, c.s, c.types), " "); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestProblemsNameEveryTypeThatDoesNotGetThrough(t *testing.T) {
	peer := testHost(2)
	port := ovsdb.Tunnel{Type: "gre", Remote: netip.MustParseAddr("192.168.248.140"), Peer: ovsdb.Peer{ID: peer.ID.String(), Name: "h2"}}
	want := ovsdb.Spec{Tunnels: []ovsdb.Tunnel{port}}
	got := filtered(map[lease.ID][]string{peer.ID: {"gre", "vxlan"}}, []Host{peer}, want, portsOf(ovsdb.State{}))
	if len(got) != 1 || got[0] != (Problem{
		What: "no GRE and no VXLAN from h2 (192.168.248.140) although its agent answers: IP protocol 47 and UDP port 4789 are filtered between the two",
		Do:   "allow IP protocol 47 (GRE) or UDP port 4789 (VXLAN) between the underlay addresses",
	}) {
		t.Errorf("%+v", got)
	}
}
