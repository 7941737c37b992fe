package mesh

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gremesh/gremesh/bridge"
	"github.com/gremesh/gremesh/bridge/filter"
)

func TestAHostWithoutNftHasThatForAProblemAlone(t *testing.T) {
	w := planned(testHost(2))
	w.nat, w.natErr, w.kernel.Routes = filter.State{}, fmt.Errorf("%w: install nftables", filter.ErrUnable), nil
	l := w.loop()
	if !pass(t, l) || strings.Join(w.applied, " ") != "kernel" || !w.says(l, "install nftables") {
		t.Errorf("applied %v, %+v", w.applied, l.Status(t.Context()).Problems)
	}
	if audit := l.Audit(t.Context()); len(audit.Drift) != 0 || len(audit.Problems) != 1 {
		t.Errorf("%+v", audit)
	}
	w.kernel.Routes = nil
	if p := l.Plan(t.Context()); len(p.Drift) != 1 || len(p.Problems) != 1 || len(p.Unseen) != 0 {
		t.Errorf("%+v", p)
	}
	if err := l.Teardown(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestAKernelWithoutAFamilyIsAProblemAndNoDrift(t *testing.T) {
	lacking := map[string]int{"ip": 1, "bridge": 2, "inet": 1} // problems
	for family := range lacking {
		w := planned(testHost(2))
		w.nat.MissingFamilies, w.docker.Running = []string{family}, true
		l := w.loop()
		switch family {
		case "ip":
			w.nat.Table = nil
		case "inet":
			w.nat.Guard = nil
		default:
			l.cfg.Flood, w.kernel.Flood = false, bridge.Flood{}
			w.nat.Quiet = nil
			desired, _ := l.plan(w.view, nil, w.ovs)
			w.nat.Guard = filter.Listed(filter.Unmarked(guarded(desired.NAT, w.ovs, nil, true))).Guard
		}
		for range 2 {
			if !pass(t, l) || w.open != (family != "ip") || len(w.applied) != 0 || !w.says(l, "this kernel lacks nftables' "+family) {
				t.Errorf("%s: applied %v, open to direct packets %v, %+v", family, w.applied, w.open, l.Status(t.Context()).Problems)
			}
		}
		if n := len(l.Status(t.Context()).Problems); n != lacking[family] {
			t.Errorf("%s: %d problems", family, n)
		}
		if audit, row := l.Audit(t.Context()), l.Row(t.Context()); len(audit.Drift) != 0 || len(audit.Problems) != 0 || row.Drift != 0 {
			t.Errorf("%s: %+v, %+v", family, audit, row)
		}
		if p := l.Plan(t.Context()); len(p.Drift) != 0 || len(p.Problems) != lacking[family] || len(p.Unseen) != 0 {
			t.Errorf("%s: %+v", family, p)
		}
		if err := l.Teardown(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

func TestAPacketFilterThatFailsKeepsTheKernelFromNothing(t *testing.T) {
	w := planned(testHost(2))
	w.natErr, w.kernel.Routes = errors.New("nft: denied"), nil
	l := w.loop()
	if pass(t, l) || strings.Join(w.applied, " ") != "kernel" || !w.says(l, "denied") {
		t.Errorf("applied %v", w.applied)
	}
	if row := l.Row(t.Context()); len(row.Unseen) != 1 || !strings.Contains(row.Unseen[0], "denied") {
		t.Errorf("%+v", row)
	}
}

// What explains why the rules cannot be changed is reported with the failure.
func TestAPacketFilterThatRefusesChangesKeepsItsProblems(t *testing.T) {
	w := planned(testHost(2))
	w.nat = filter.State{MissingFamilies: []string{"bridge"}}
	w.natFails = errors.New("nft: no space")
	l := w.loop()
	if pass(t, l) || !w.says(l, "no space") || !w.says(l, "bridge family") {
		t.Errorf("%+v", l.Status(t.Context()).Problems)
	}
}

func TestATableThatIsGoneIsMadeAnewAndIsDriftUntilThen(t *testing.T) {
	w := planned(testHost(2))
	l := w.loop()
	w.nat = filter.State{}
	if audit, row := l.Audit(t.Context()), l.Row(t.Context()); len(audit.Drift) != 3 || row.Drift != 3 {
		t.Errorf("%+v, %+v", audit, row)
	}
	if !pass(t, l) || strings.Join(w.applied, " ") != "nat" || len(l.Audit(t.Context()).Drift) != 0 {
		t.Errorf("applied %v", w.applied)
	}
}

func TestWhatTheOperatorSaysIsToldOfAndLoggedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := planned(testHost(2))
		l := w.loop()
		pass(t, l)
		w.said.Err = errors.New("line 7: odd")
		w.said.Config.NonMasqueradeCIDRs = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}
		for range 3 {
			pass(t, l)
			time.Sleep(time.Second)
		}
		if !w.says(l, "line 7: odd") || !w.says(l, "containers reach nothing") {
			t.Errorf("%+v", l.Status(t.Context()).Problems)
		}
		if log := w.log.String(); strings.Count(log, "line 7") != 1 || strings.Count(log, "containers reach nothing") != 1 {
			t.Error(log)
		}
	})
}

func TestWhichWaysAreAcceptedAndWhichHostsSeeTheSource(t *testing.T) {
	cfg := testConfig()
	cfg.PerPeer, cfg.UnderlayLink = true, "eth0"
	view := testView(testHost(2), testHost(3), testHost(4))
	view.Peers[1].Liveness = Left
	view.Peers[2].Underlay = netip.MustParseAddr("203.0.113.7") // not private
	rules := func() filter.Rules { d, _ := Plan(cfg, view, nil); return d.NAT }
	through := filter.Path{In: "docker0", Out: "docker0"}
	if got := rules(); !slices.Equal(got.Forward, []filter.Path{through}) || len(got.NonMasquerade) != 3 {
		t.Errorf("%+v", got) // the pool, this host and h2
	}
	view.Self.Direct = netip.MustParsePrefix("192.168.248.0/24")
	view.Peers[0].Direct = view.Self.Direct
	if got := rules().Forward; !slices.Equal(got, []filter.Path{through, {In: "eth0", Out: "docker0"}, {In: "docker0", Out: "eth0"}}) {
		t.Errorf("%+v", got)
	}
	view.Self.Cut = true
	if got := rules(); len(got.NonMasquerade)+len(got.Forward)+len(got.Guard.Sources) > 0 || got.Quiet != "" || got.Guard.Port == "" || len(got.Guard.Hosts) != 3 {
		t.Errorf("a host that is out of the mesh has no more than the guard: %+v", got)
	}
}

func TestAStrictDeviceIsToldOfWhereSourcesAreKept(t *testing.T) {
	w := planned(testHost(2))
	w.kernel.StrictRPFilter = []string{"eth0"}
	l := w.loop()
	l.cfg.UnderlayLink = "eth0"
	pass(t, l)
	if !w.says(l, "rp_filter of eth0 is 1") {
		t.Errorf("%+v", l.Status(t.Context()).Problems)
	}
	w.said.Config.NonMasqueradeCIDRs = []netip.Prefix{}
	pass(t, l)
	if w.says(l, "rp_filter") {
		t.Error("the hosts see each other's own addresses, and it is said all the same")
	}
}
