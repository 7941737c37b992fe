package mesh

import (
	"testing"

	"github.com/gremesh/gremesh/bridge"
)

func TestSwitchesOfDevicesAreProblemsAndDrift(t *testing.T) {
	w := planned(testHost(2))
	l := w.loop()
	w.kernel.Switches = []bridge.Switch{{Object: "link docker0 stp_state", Is: "on", Should: "off", Why: "it can block", Do: "ip link set X"}}
	w.kernel.Unforwarding = []string{"eth9"} // no peer is reached by it
	pass(t, l)
	got := l.Status(t.Context()).Problems
	if len(got) != 1 || got[0].What != "link docker0 stp_state is on: it can block" || got[0].Do != "ip link set X" {
		t.Errorf("problems are %+v", got)
	}
	audit := l.Audit(t.Context())
	if len(audit.Drift) != 1 || audit.Drift[0].Object != "link docker0 stp_state" || audit.Drift[0].Commands[0] != "ip link set X" {
		t.Errorf("drift is %+v", audit.Drift)
	}
	if row := l.Row(t.Context()); row.Drift != 1 {
		t.Errorf("the row has %d differences", row.Drift)
	}
	w.kernel.Switches = nil
	pass(t, l)
	if got := l.Status(t.Context()).Problems; len(got) > 0 {
		t.Errorf("afterwards problems are %+v", got)
	}
}

func TestANICThatDoesNotForwardMattersForDirectPeers(t *testing.T) {
	have := bridge.State{Unforwarding: []string{"eth0", "eth1"}}
	want := bridge.Spec{Bridge: "docker0", Peers: []bridge.Peer{{Link: "eth1"}, {}}}
	got := deviceSwitches(want, have)
	if len(got) != 1 || got[0].Object != "sysctl net.ipv4.conf.eth1.forwarding" || got[0].Do != "sysctl -w net.ipv4.conf.eth1.forwarding=1" {
		t.Errorf("got %+v", got)
	}
	if got := deviceSwitches(bridge.Spec{}, have); len(got) > 0 {
		t.Errorf("without a lease: %+v", got)
	}
}
