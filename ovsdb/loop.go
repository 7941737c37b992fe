package ovsdb

import (
	"cmp"
	"fmt"
	"slices"
)

// UnprotectedTunnels returns other programs' tunnel ports on the bridge that are not
// protected (ovs-vswitchd.conf.db(5), Port), sorted by object. An unprotected
// port forwards packets that arrive by another tunnel. A full mesh of such
// bridges is a loop. For a bridge with fewer than two tunnels UnprotectedTunnels
// returns nil, because there is no second tunnel to forward to.
func UnprotectedTunnels(bridge string, have State) []Conflict {
	var found []Conflict
	tunnels := 0
	for i := range have.Ports {
		p := &have.Ports[i]
		if p.Bridge != bridge || !p.tunnel() {
			continue
		}
		tunnels++
		if p.Ours || p.Protected { // Diff protects gremesh's ports
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
