package mesh

import (
	"net/netip"
	"strings"
	"testing"
)

// A host that has lost its subnet gets its tunnels back with another one, and
// docker0 has the old address until Docker is restarted.
func TestARenumberedHostTakesBr0OutOfDocker0BeforeItHasTunnels(t *testing.T) {
	w := planned(testHost(2))
	l := w.loop()
	pass(t, l)
	w.view.Self.Cut = true
	if pass(t, l); len(w.ovs.Ports) > 0 {
		t.Fatalf("it keeps %+v", w.ovs.Ports)
	}
	w.view.Self.Cut, w.view.Self.Subnet = false, netip.MustParsePrefix("172.17.77.0/24")
	w.applied, w.docker.Running = nil, true
	w.takes = func() { w.docker.NeedsRestart = false }
	if pass(t, l); strings.Join(w.applied, " ") != "kernel nat switch docker nat" {
		t.Errorf("applied %v", w.applied)
	}
	if w.kernel.OVSPort.Master != "" || len(w.kernel.Routes) > 0 || len(w.ovs.Ports) == 0 {
		t.Errorf("%+v, %+v, %d ports", w.kernel.OVSPort, w.kernel.Routes, len(w.ovs.Ports))
	}
}

func TestADocker0WithTheBipStaysInTheMeshWhenTheAgentIsStarted(t *testing.T) {
	w := planned(testHost(2))
	w.ovs.Ports = nil
	if pass(t, w.loop()); strings.Join(w.applied, " ") != "switch" {
		t.Errorf("applied %v", w.applied)
	}
}
