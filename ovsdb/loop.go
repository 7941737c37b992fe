package ovsdb

import (
	"cmp"
	"fmt"
	"slices"
)

// Loops returns the tunnel ports of others on a bridge that are not protected
// (ovs-vswitchd.conf.db(5), Port) and so let through what another tunnel brings.
// Of a full mesh of such bridges the tunnels are a loop. A bridge with fewer
// than two tunnels has nothing to pass on. Sorted by object.
func Loops(bridge string, have Actual) []Conflict {
	var found []Conflict
	tunnels := 0
	for i := range have.Ports {
		p := &have.Ports[i]
		if p.Bridge != bridge || !p.tunnel() {
			continue
		}
		tunnels++
		if p.Ours || p.Protected { // Diff protects what is ours
			continue
		}
		protect := column{name: "protected", value: true}
		found = append(found, Conflict{key(kindPort, p.Name, ""),
			fmt.Sprintf("not protected, and not gremesh's: %s passes broadcasts from this %s tunnel to %s on to the other tunnels, a loop with three such hosts",
				bridge, p.Type, p.remote()),
			setColumn("port", p.Name, protect)})
	}
	if tunnels < 2 {
		return nil
	}
	slices.SortFunc(found, func(a, b Conflict) int { return cmp.Compare(a.Key.String(), b.Key.String()) })
	return found
}
