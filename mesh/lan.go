package mesh

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/gremesh/gremesh/ovsdb"
)

// lan returns a problem if a bridge that other programs created leads to a
// network of its own, because a NIC is among its ports. With tunnels on that
// bridge, two such hosts in one network form a loop: a broadcast of one host
// returns to it through the tunnel and the NIC of the other. The result stop is
// true if there is no tunnel yet; then gremesh must create none.
func lan(ovs ovsdb.State, nics []string) (problems []Problem, stop bool) {
	var ports []string
	for i := range ovs.Ports {
		p := &ovs.Ports[i]
		if mayLeadOut(ovs.Bridge.Name, p) && slices.ContainsFunc(p.Interfaces, func(name string) bool { return slices.Contains(nics, name) }) {
			ports = append(ports, p.Name)
		}
	}
	if len(ports) == 0 {
		return nil, false
	}
	name := ovs.Bridge.Name
	what := fmt.Sprintf("bridge %s leads to a network of its own by %s: with tunnels beside that, broadcasts go in a loop as soon as two hosts are on that network so", name, strings.Join(ports, ", "))
	stop = !slices.ContainsFunc(ovs.Ports, func(p ovsdb.Port) bool { return p.Ours })
	if stop {
		what += "; nothing is done on this host"
	}
	return []Problem{{
		What: what,
		Do:   "ovs.bridge: a name that is free, for a bridge that gremesh makes; or take it out, if nobody needs it there: ovs-vsctl del-port " + name + " " + ports[0],
	}}, stop
}

// mayLeadOut reports whether a port belongs to another program and is a system
// device.
func mayLeadOut(bridge string, p *ovsdb.Port) bool {
	return !p.Ours && p.Bridge == bridge && p.Name != p.Bridge && !p.Remote.IsValid() && (p.Type == "" || p.Type == "system")
}

// barred returns the problems for which gremesh must not change Open vSwitch,
// see lan. It observes the kernel only if there is a port that may lead out.
func (l *Loop) barred(ctx context.Context, ovs ovsdb.State) ([]Problem, error) {
	if slices.ContainsFunc(ovs.Ports, func(p ovsdb.Port) bool { return p.Ours }) ||
		!slices.ContainsFunc(ovs.Ports, func(p ovsdb.Port) bool { return mayLeadOut(ovs.Bridge.Name, &p) }) {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, partTimeout)
	defer cancel()
	have, err := l.cfg.Kernel.Observe(ctx)
	if err != nil {
		return nil, err
	}
	problems, stop := lan(ovs, have.NICs)
	if !stop {
		return nil, nil
	}
	return problems, nil
}
