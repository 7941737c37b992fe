package mesh

import (
	"fmt"
	"slices"

	"github.com/gremesh/gremesh/bridge"
	"github.com/gremesh/gremesh/mesh/drift"
)

// deviceSwitches returns the settings of the host's devices that can stop
// packets of the mesh and that gremesh does not change: those of Docker's bridge,
// and the forwarding switch of a NIC by which peers are reached directly.
func deviceSwitches(want bridge.Host, have bridge.Actual) []bridge.Switch {
	if want.Bridge == "" {
		return nil
	}
	found := slices.Clone(have.Switches)
	for _, nic := range have.Unforwarding {
		if slices.ContainsFunc(want.Peers, func(p bridge.Peer) bool { return p.Link == nic }) {
			found = append(found, bridge.Forwarding(nic))
		}
	}
	return found
}

// switchProblems are the same for status.
func switchProblems(want bridge.Host, have bridge.Actual) []Problem {
	var problems []Problem
	for _, s := range deviceSwitches(want, have) {
		problems = append(problems, Problem{What: fmt.Sprintf("%s is %s: %s", s.Object, s.Is, s.Why), Do: s.Do})
	}
	return problems
}

// hostDrift is all that differs on the Linux side of this host.
func hostDrift(want bridge.Host, have bridge.Actual) []drift.Drift {
	var found []drift.Drift
	for _, c := range bridge.Diff(want, have) {
		found = append(found, c.Drift)
	}
	for _, s := range deviceSwitches(want, have) {
		found = append(found, drift.Drift{Object: s.Object, Is: s.Is, Should: s.Should + ", because " + s.Why, Commands: []string{s.Do}})
	}
	return found
}
