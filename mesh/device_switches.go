package mesh

import (
	"fmt"
	"slices"

	"github.com/gremesh/gremesh/bridge"
	"github.com/gremesh/gremesh/mesh/drift"
)

// deviceSwitches returns the device settings that can stop mesh packets and
// that gremesh does not change. These are settings of Docker's bridge, and the
// forwarding setting of a NIC that leads directly to peers.
func deviceSwitches(want bridge.Spec, have bridge.State) []bridge.Switch {
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

// switchProblems returns the same settings as problems, for status.
func switchProblems(want bridge.Spec, have bridge.State) []Problem {
	var problems []Problem
	for _, s := range deviceSwitches(want, have) {
		problems = append(problems, Problem{What: fmt.Sprintf("%s is %s: %s", s.Object, s.Is, s.Why), Do: s.Do})
	}
	return problems
}

// hostDrift returns all differences of the kernel.
func hostDrift(want bridge.Spec, have bridge.State) []drift.Drift {
	var found []drift.Drift
	for _, c := range bridge.Diff(want, have) {
		found = append(found, c.Drift)
	}
	for _, s := range deviceSwitches(want, have) {
		found = append(found, drift.Drift{Object: s.Object, Is: s.Is, Should: s.Should + ", because " + s.Why, Commands: []string{s.Do}})
	}
	return found
}
