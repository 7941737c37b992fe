package mesh

import (
	"net/netip"
	"testing"
)

func TestAForgottenHostWhoseSubnetIsTakenHasNoTunnels(t *testing.T) {
	w := planned(testHost(2))
	w.kernel.Attached = []string{"veth1"} // so that it can't renumber
	l := w.loop()
	pass(t, l)
	kernel, docker := w.kernel.Addrs, w.docker
	w.view.Self.Subnet = netip.Prefix{}
	if pass(t, l); len(w.ovs.Ports) != 1 {
		t.Error("it lost its tunnels although nobody else has its subnet")
	}
	w.view.Lost = true
	if !pass(t, l) || len(w.ovs.Ports) > 0 {
		t.Errorf("it keeps %+v", w.ovs.Ports)
	}
	last := w.history[len(w.history)-1]
	if last.Object != "port gre43" || last.Cause != "this host has lost its subnet to another" {
		t.Errorf("%+v", last)
	}
	if w.renumbered > 0 || len(w.kernel.Addrs) != len(kernel) || w.kernel.OVSPort.Master != "docker0" || w.docker != docker {
		t.Errorf("it was touched, too: %+v, %+v", w.kernel, w.docker)
	}
	w.applied = nil
	if pass(t, l); len(w.applied) > 0 {
		t.Errorf("the next pass applied %v", w.applied)
	}
	w.view.Lost, w.view.Self.Subnet = false, netip.MustParsePrefix("172.17.77.0/24")
	pass(t, l)
	for _, change := range w.history {
		if change.Object == "port gre43" && change.Was == "" && change.Cause != "this host has another subnet" {
			t.Errorf("%+v", change)
		}
	}
}
