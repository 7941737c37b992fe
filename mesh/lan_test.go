package mesh

import (
	"testing"

	"github.com/gremesh/gremesh/ovsdb"
)

func TestNoTunnelsAreMadeOnABridgeThatLeadsToANetworkOfItsOwn(t *testing.T) {
	nic := ovsdb.Port{Tunnel: ovsdb.Tunnel{Name: "eth1"}, Bridge: "br0", Interfaces: []string{"eth1"}}
	w := planned(testHost(2))
	w.ovs = ovsdb.State{Bridge: ovsdb.Bridge{Name: "br0", Exists: true, OfPort: 65534}, Ports: []ovsdb.Port{nic}}
	w.kernel.NICs = []string{"eth0", "eth1"}
	l := w.loop()
	pass(t, l)
	if len(w.applied) > 0 || !w.says(l, "bridge br0 leads to a network of its own by eth1: ") || w.readied != 1 {
		t.Errorf("applied %v, %+v", w.applied, l.Status(t.Context()).Problems)
	}
	if plan := l.Plan(t.Context()); len(plan.Drift) > 0 || len(plan.Problems) == 0 {
		t.Errorf("the plan is %+v", plan)
	}
	if audit := l.Audit(t.Context()); len(audit.Drift) > 0 || len(audit.Problems) == 0 {
		t.Errorf("the audit is %+v", audit)
	}

	// A container or virtual machine is none, and what runs already is not stopped.
	w.kernel.NICs = []string{"eth0"}
	pass(t, l)
	if len(w.applied) == 0 {
		t.Error("nothing is done")
	}
	w.ovs.Ports = append(w.ovs.Ports, nic)
	w.kernel.NICs = []string{"eth0", "eth1"}
	pass(t, l)
	if !w.says(l, "bridge br0 leads to a network of its own by eth1: ") || w.reported.Want != 1 {
		t.Errorf("%+v, %+v", w.reported, l.Status(t.Context()).Problems)
	}
}
