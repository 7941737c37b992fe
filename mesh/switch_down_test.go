package mesh

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/gremesh/gremesh/ovsdb"
)

const deadSwitch = "ovs-vswitchd is not running (no pid file P)"

// die makes the world's ovs-vswitchd dead, as ovsdb shows it.
func (w *world) die() {
	w.ovs.Down = deadSwitch
	for i := range w.ovs.Ports {
		w.ovs.Ports[i].BFD = ovsdb.BFDStatus{State: ovsdb.StateUnknown}
	}
}

func TestADeadVswitchdIsNamedAndItsStateUnknown(t *testing.T) {
	w := planned(testHost(2), testHost(3))
	l := w.loop()
	pass(t, l)
	if got := l.Status(t.Context()).Host.OVS; got != "up" {
		t.Errorf("Open vSwitch is %q, want up", got)
	}
	w.die()
	pass(t, l)
	status := l.Status(t.Context())
	if status.Host.OVS != "down" || len(status.Problems) != 1 || status.Problems[0].What != switchDown(w.ovs)[0].What || status.Problems[0].Since.IsZero() {
		t.Errorf("Open vSwitch is %q, problems are %+v", status.Host.OVS, status.Problems)
	}
	for _, p := range status.Peers {
		if p.Tunnel.BFD != "unknown" {
			t.Errorf("BFD of %s is %q, want unknown", p.Name, p.Tunnel.BFD)
		}
	}
	if w.reported != (TunnelCount{Up: 0, Want: 2}) {
		t.Errorf("reported %+v", w.reported)
	}
	if len(l.silent) > 0 {
		t.Errorf("the tunnels count as silent: %v", l.silent)
	}
	if audit := l.Audit(t.Context()); len(audit.Drift) > 0 || len(audit.Problems) != 1 {
		t.Errorf("audit is %+v, want that it cannot tell", audit)
	}
	if row := l.Row(t.Context()); row.Blind != deadSwitch || len(row.Cells) > 0 {
		t.Errorf("row: blind %q, %d cells", row.Blind, len(row.Cells))
	}
	w.ovs = ovsAsPlanned(w.view)
	pass(t, l)
	if status := l.Status(t.Context()); status.Host.OVS != "up" || len(status.Problems) > 0 {
		t.Errorf("after its return Open vSwitch is %q, problems are %+v", status.Host.OVS, status.Problems)
	}
}

func TestAFailedPeerKeepsItsTunnelWhileVswitchdIsDead(t *testing.T) {
	w := planned(testHost(2), testHost(3))
	w.view.Peers[0].Liveness = Failed
	l := w.loop()
	pass(t, l)
	w.die()
	pass(t, l)
	if id := testHost(2).ID; !l.last.Load().keep[id] {
		t.Error("the tunnel of a failed peer is given up although nothing is known of it")
	}
}

// The database takes changes, and ovs-vswitchd does not act on them.
func TestAFailedApplyHidesNeitherADeadVswitchdNorConflicts(t *testing.T) {
	w := staleDocker()
	w.view = testView(testHost(2), testHost(3))
	w.ovs = ovsAsPlanned(w.view)
	w.die()
	w.ovs.Ports = w.ovs.Ports[:1] // one is to be made, and one is in another program's place
	w.ovs.Ports[0].Name, w.ovs.Ports[0].Bridge, w.ovs.Ports[0].Ours = "gre0", "br1", false
	w.refuses = errors.New("ovs-vswitchd has not applied them")
	l := w.loop()
	if pass(t, l) {
		t.Error("the pass has succeeded")
	}
	if !slices.Contains(w.applied, "switch") || slices.Contains(w.applied, "docker") || w.restarts != 0 {
		t.Errorf("applied %v, %d restarts", w.applied, w.restarts)
	}
	for _, words := range []string{"has not applied them", deadSwitch, "daemon.json does not get the bip", "port gre0 on br1, which is not gremesh's"} {
		if !w.says(l, words) {
			t.Errorf("status does not say %q: %+v", words, l.Status(t.Context()).Problems)
		}
	}
}

func TestTheErrorOfADownPartBringsItsCommand(t *testing.T) {
	err := fmt.Errorf("observe: %w", &ovsdb.DownError{What: "Open vSwitch is not running (no socket at P)", Do: ovsdb.StartCommand})
	if got, want := problemOf(err), (Problem{What: "Open vSwitch is not running (no socket at P)", Do: "systemctl start openvswitch-switch"}); got != want {
		t.Errorf("problem is %+v, want %+v", got, want)
	}
}
