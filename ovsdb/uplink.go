package ovsdb

import (
	"fmt"
	"slices"
	"strings"

	"github.com/gremesh/gremesh/mesh/reconcile"
)

// uplinkLoop returns a problem if a NIC is among the ports of a bridge that other
// programs created. With tunnels on that bridge, two such hosts in one network
// form a loop: a broadcast of one host returns to it through the tunnel and the
// NIC of the other. halt is true if there is no tunnel yet; then none may be
// made.
func uplinkLoop(have Observation) (problem *reconcile.Problem, halt bool) {
	var ports []string
	for _, p := range have.Ports {
		if have.mayLeadOut(p) && slices.ContainsFunc(p.Interfaces, func(name string) bool { return slices.Contains(have.NICs, name) }) {
			ports = append(ports, p.Name)
		}
	}
	if len(ports) == 0 {
		return nil, false
	}
	name := have.Bridge.Name
	halt = !slices.ContainsFunc(have.Ports, func(p Port) bool { return p.Ours })
	summary := fmt.Sprintf("bridge %s leads to a network of its own by %s: with tunnels beside that, broadcasts go in a loop as soon as two hosts are on that network so", name, strings.Join(ports, ", "))
	if halt {
		summary += "; nothing is done on this host"
	}
	return &reconcile.Problem{
		Code: "GM-OVS-UPLINK", Object: name, Summary: summary,
		Remedy: fmt.Sprintf("ovs.bridge: a name that is free, for a bridge that gremesh makes; or take it out, if nobody needs it there: ovs-vsctl del-port %s %s", name, ports[0]),
	}, halt
}

// mayLeadOut reports whether a port is a device of the system in the configured
// bridge, and not gremesh's.
func (a State) mayLeadOut(p Port) bool {
	return !p.Ours && p.Bridge == a.Bridge.Name && p.Name != p.Bridge && !p.Remote.IsValid() && (p.Type == "" || p.Type == "system")
}
