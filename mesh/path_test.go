package mesh

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gremesh/gremesh/bridge/probe"
	"github.com/gremesh/gremesh/mesh/lease"
	"github.com/gremesh/gremesh/ovsdb"
)

// fakeProber knows what a test says.
type fakeProber struct {
	paths   map[netip.Addr]probe.Path
	trouble error
	changes uint64
	set     []probe.Targets
}

func (f *fakeProber) Set(t probe.Targets)              { f.set = append(f.set, t) }
func (f *fakeProber) Paths() map[netip.Addr]probe.Path { return f.paths }
func (f *fakeProber) Path(to netip.Addr) probe.Path    { return f.paths[to] }
func (f *fakeProber) Changes() uint64                  { return f.changes }
func (f *fakeProber) Changed() <-chan struct{}         { return nil }
func (f *fakeProber) Trouble() error                   { return f.trouble }
func (f *fakeProber) become(host int, p probe.Path)    { f.paths[bip(host)] = p; f.changes++ }
func (f *fakeProber) last() (t probe.Targets)          { return f.set[len(f.set)-1] }
func bip(host int) netip.Addr                          { return lease.Bip(testHost(host).Subnet).Addr() }
func upFor(d time.Duration) probe.Path                 { return pathFor(probe.Up, d) }
func downFor(d time.Duration) probe.Path               { return pathFor(probe.Down, d) }
func pathFor(s probe.State, d time.Duration) (p probe.Path) {
	since := time.Now().Add(-d)
	return probe.Path{State: s, Since: since, Begun: since.Add(-time.Hour), Was: true, RoundTrip: time.Millisecond, Full: probe.Up}
}

// probed is a loop over a world in which all paths are up.
func probed(w *world) (*Loop, *fakeProber) {
	f := &fakeProber{paths: make(map[netip.Addr]probe.Path)}
	for i := 2; i <= 9; i++ {
		f.paths[bip(i)] = upFor(time.Minute)
	}
	l := w.loop()
	l.cfg.Prober = f
	return l, f
}

// A tunnel counts as up if both BFD and its path are.
func TestOnlyTunnelsWhosePathIsUpCount(t *testing.T) {
	for name, c := range map[string]struct {
		bfd      string
		path     probe.Path
		contrary time.Duration // since when the two differ
		up       int
		says     string
	}{
		"both":              {"up", upFor(time.Minute), 0, 2, ""},
		"BFD alone":         {"up", downFor(time.Minute), 3 * time.Second, 1, "the path to h2 (192.168.248.140) carries no packets, although its tunnel is up"},
		"the path alone":    {"down", upFor(time.Minute), 0, 1, ""},
		"neither":           {"down", downFor(time.Minute), 3 * time.Second, 1, ""},
		"not known yet":     {"up", probe.Path{}, 0, 1, ""},
		"small packets":     {"up", probe.Path{State: probe.Up, Full: probe.Down}, 0, 1, "only small packets pass the path to h2"},
		"BFD for a moment":  {"up", downFor(time.Minute), time.Second, 1, ""},
		"has never been up": {"up", probe.Path{State: probe.Down, Begun: time.Now().Add(-8 * time.Second)}, 5 * time.Second, 1, ""},
		"never for a while": {"up", probe.Path{State: probe.Down, Begun: time.Now().Add(-12 * time.Second)}, 5 * time.Second, 1, "the path to h2"},
	} {
		t.Run(name, func(t *testing.T) {
			w := planned(testHost(2), testHost(3))
			w.ovs.Ports[0].BFD.State = c.bfd
			l, f := probed(w)
			f.paths[bip(2)] = c.path
			l.probed.contrary = contrary{bip(2): time.Now().Add(-c.contrary)}
			if !pass(t, l) || w.reported != (TunnelCount{Up: c.up, Want: 2}) {
				t.Errorf("reported %+v", w.reported)
			}
			var paths []string
			for _, p := range l.Status(t.Context()).Problems {
				if strings.Contains(p.What, "path") {
					paths = append(paths, p.What)
				}
			}
			if c.says == "" && len(paths) > 0 || c.says != "" && (len(paths) != 1 || !strings.HasPrefix(paths[0], c.says)) {
				t.Errorf("problems %q, want %q", paths, c.says)
			}
			if audit := l.Audit(t.Context()).Paths; (len(audit.Problems) > 0) != (c.says != "") || audit.Wanted != 2 {
				t.Errorf("audit: %+v", audit)
			}
		})
	}
}

func TestWithoutBFDThePathAloneDecides(t *testing.T) {
	w := planned(testHost(2), testHost(3))
	l, f := probed(w)
	l.cfg.Tunnel.BFD = false
	for i := range w.ovs.Ports {
		w.ovs.Ports[i].Tunnel.BFD, w.ovs.Ports[i].BFD.State = false, ""
	}
	f.become(2, downFor(time.Minute))
	l.probed.contrary = contrary{bip(2): time.Now().Add(-time.Minute)}
	pass(t, l)
	if w.reported != (TunnelCount{Up: 1, Want: 2}) || !w.says(l, "the path to h2 (192.168.248.140) carries no packets") || w.says(l, "although") {
		t.Errorf("reported %+v, problems %+v", w.reported, l.Status(t.Context()).Problems)
	}
}

// BFD and the probe notice a cut one after the other, and a pass is due when it
// is certain that they differ.
func TestAPathIsAProblemOnceItDiffersFromBFDForAWhile(t *testing.T) {
	w := planned(testHost(2))
	l, f := probed(w)
	f.become(2, downFor(time.Minute))
	began := time.Now()
	if _, again := l.pass(t.Context()); again.Sub(began) > 3*time.Second || w.says(l, "the path") {
		t.Errorf("again after %s, problems %+v", again.Sub(began), l.Status(t.Context()).Problems)
	}
	l.probed.contrary[bip(2)] = began.Add(-pathGrace)
	if pass(t, l); !w.says(l, "the path to h2") {
		t.Error("it is no problem")
	}
	w.ovs = ovsAsPlanned(w.view)
	w.ovs.Ports[0].BFD.State, w.ovs.Database = "down", "another"
	pass(t, l)
	if len(l.probed.contrary) > 0 {
		t.Error("it is not forgotten")
	}
}

// What has changed of the paths is counted in the next pass, and nothing else.
func TestAPathThatChangesIsCounted(t *testing.T) {
	w := planned(testHost(2), testHost(3))
	l, f := probed(w)
	pass(t, l)
	f.become(3, downFor(time.Minute))
	pass(t, l)
	if w.reported != (TunnelCount{Up: 1, Want: 2}) {
		t.Errorf("reported %+v", w.reported)
	}
	f.become(3, upFor(0))
	pass(t, l)
	if w.reported != (TunnelCount{Up: 2, Want: 2}) || len(w.applied) > 0 {
		t.Errorf("reported %+v, applied %v", w.reported, w.applied)
	}
	if len(f.set) != 1 {
		t.Errorf("the targets were set %d times, and are the same", len(f.set))
	}
}

func TestTheTunnelsThatAreWantedAreProbed(t *testing.T) {
	silent := testHost(3)
	silent.Liveness = Failed
	w := planned(testHost(2), silent)
	l, f := probed(w)
	pass(t, l)
	if is := f.last(); is.Self != bip(1) || !slices.Equal(is.Peers, []netip.Addr{bip(2), bip(3)}) {
		t.Errorf("%+v", is) // one whose agent is silent, too, while it keeps its tunnel
	}
	w.view.Peers = w.view.Peers[:1]
	w.ovs = ovsAsPlanned(w.view)
	pass(t, l)
	if is := f.last(); !slices.Equal(is.Peers, []netip.Addr{bip(2)}) {
		t.Errorf("%+v", is)
	}
	w.view.Self.Subnet = netip.Prefix{}
	pass(t, l)
	if is := f.last(); is.Self.IsValid() || len(is.Peers) > 0 {
		t.Errorf("without a lease: %+v", is)
	}
}

func TestADeadSwitchIsTheProblemNotThePaths(t *testing.T) {
	w := planned(testHost(2))
	l, f := probed(w)
	w.die()
	f.become(2, downFor(time.Minute))
	pass(t, l)
	if w.says(l, "the path") || w.reported.Up != 0 {
		t.Errorf("reported %+v, problems %+v", w.reported, l.Status(t.Context()).Problems)
	}
}

func TestPathsThatCannotBeProbedAreUnknown(t *testing.T) {
	w := planned(testHost(2))
	l, f := probed(w)
	f.paths, f.trouble = map[netip.Addr]probe.Path{}, errors.New("open a packet socket: operation not permitted")
	pass(t, l)
	if !w.says(l, "the paths to peers are not probed") || w.reported != (TunnelCount{Want: 1}) {
		t.Errorf("reported %+v, problems %+v", w.reported, l.Status(t.Context()).Problems)
	}
}

func TestManyPathsAreOneProblem(t *testing.T) {
	tunnels, paths := make([]ovsdb.Tunnel, 30), make(map[netip.Addr]probe.Path)
	ports, long := make(map[string]ovsdb.Port), make(contrary)
	for i := range tunnels {
		tunnels[i].Peer = ovsdb.Peer{ID: fmt.Sprint(i), Name: fmt.Sprint("h", i), Subnet: testHost(2 + i).Subnet}
		paths[bipOf(&tunnels[i])] = downFor(time.Minute)
		ports[fmt.Sprint(i)] = ovsdb.Port{}
		long[bipOf(&tunnels[i])] = time.Now().Add(-time.Minute)
	}
	all := func() map[string]ovsdb.Port { return ports }
	if found, _, _ := pathProblems(time.Now(), tunnels[:manyPaths], all, paths, long); len(found) != manyPaths {
		t.Errorf("%d problems", len(found))
	}
	if found, _, _ := pathProblems(time.Now(), tunnels, all, paths, long); len(found) != 1 || found[0].Do == "" {
		t.Errorf("%+v", found)
	}
}

// The status and the row have what was found; without a prober they say nothing.
func TestPathsInStatusAndRow(t *testing.T) {
	w := planned(testHost(2), testHost(3), testHost(4), testHost(5))
	l, f := probed(w)
	f.become(3, downFor(time.Minute))
	f.become(4, probe.Path{State: probe.Up, Full: probe.Down, Loss: 0.15})
	f.become(5, probe.Path{})
	pass(t, l)
	var words []string
	for _, c := range l.Row(t.Context()).Cells {
		words = append(words, fmt.Sprint(c.Path, " ", c.RoundTrip, " ", c.Loss))
	}
	if is := strings.Join(words, ", "); is != "up 0.001 0, down 0.001 0, small-only 0 0.15, unknown 0 0" {
		t.Error(is)
	}
	peers := l.Status(t.Context()).Peers
	if p := peers[0].Path; !p.Up || p.RoundTrip != 0.001 || p.Since == nil {
		t.Errorf("%+v", p)
	}
	if p := peers[1].Path; p.Up || p.Since == nil {
		t.Errorf("%+v", p)
	}
	if p := peers[2].Path; !p.Up || !p.SmallOnly || p.Loss != 0.15 {
		t.Errorf("%+v", p)
	}
	if p := peers[3].Path; p.Up || p.Since != nil {
		t.Errorf("%+v", p)
	}
	l.cfg.Prober = nil
	if p := l.Status(t.Context()).Peers[0].Path; p != nil {
		t.Errorf("without a prober: %+v", p)
	}
	if c := l.Row(t.Context()).Cells[0]; c.Path != "" {
		t.Errorf("without a prober: %+v", c)
	}
}

// Every tunnel that there should be is known by its type, also without a port:
// its series must be there when it is down.
func TestAWantedTunnelWithoutAPortIsInTheStatus(t *testing.T) {
	w := planned(testHost(2))
	l, _ := probed(w)
	w.ovsErr = errors.New("no answer")
	pass(t, l)
	if is := l.Status(t.Context()).Peers[0].Tunnel; !is.Wanted || is.Port != "" || is.Type != "gre" {
		t.Errorf("%+v", is)
	}
}

func TestARowWithImpossiblePathsIsRefused(t *testing.T) {
	for name, c := range map[string]Cell{
		"not a number": {Loss: math.NaN()}, "more than all": {Loss: 1.1}, "negative": {RoundTrip: -1},
		"infinite": {RoundTrip: math.Inf(1)}, "no text": {Path: "up\x1b[2J"},
	} {
		row := Row{ID: testHost(2).ID, Name: "h2", Cells: []Cell{c}}
		if row.Validate() == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

// A host whose docker0 answers runs, whatever BFD says: it is not forgotten.
func TestAHostThatAnswersProbesIsNotForgotten(t *testing.T) {
	for _, c := range []struct {
		bfd  string
		path probe.Path
		want bool
	}{
		{"up", upFor(0), true}, {"up", downFor(0), true}, {"", upFor(0), true}, {"unknown", upFor(0), true},
		{"down", downFor(0), false}, {"", downFor(0), false}, {"", probe.Path{}, false},
	} {
		silent := testHost(2)
		silent.Liveness = Failed
		w := planned(silent)
		w.ovs.Ports[0].BFD.State = c.bfd
		l, f := probed(w)
		f.paths[bip(2)] = c.path
		pass(t, l)
		if is := l.Carries(silent.ID.String()); is != c.want {
			t.Errorf("BFD %q, path %s: %t", c.bfd, c.path.State, is)
		}
	}
}
