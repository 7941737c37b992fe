package mesh

import (
	"fmt"
	"net/netip"

	"github.com/gremesh/gremesh/bridge"
	"github.com/gremesh/gremesh/ovsdb"
)

// taken returns a problem for each peer whose GRE packets the kernel passes to
// another program's device instead of Open vSwitch.
func taken(want ovsdb.Spec, gretaps []bridge.Gretap) []Problem {
	var problems []Problem
	for _, t := range want.Tunnels {
		for _, g := range gretaps {
			if !takes(g, t) {
				continue
			}
			problems = append(problems, Problem{
				What: fmt.Sprintf("device %s takes the GRE packets of %s (%s): it is a gretap device between the same addresses, with the same key or none", g.Name, t.Peer.Name, t.Remote),
				Do: fmt.Sprintf("ip link delete %s, if nobody needs it; else give it a key of its own at both ends (ip link set %s type gretap key NUMBER), or the mesh another (gremesh config set tunnel.key random)",
					g.Name, g.Name),
			})
		}
	}
	return problems
}

// stranger returns a problem if another program's device has the name of the
// switch.
func stranger(name, kind string) []Problem {
	if kind == "" {
		return nil
	}
	return []Problem{{
		What: fmt.Sprintf("device %s is not Open vSwitch's: it is of the kind %s, and is left alone; so there is no way from Docker's bridge into the tunnels", name, kind),
		Do:   fmt.Sprintf("ovs.bridge: another name, or give the device another one; then ip -d link show %s says openvswitch, or tun", name),
	}}
}

// takes reports whether the kernel passes packets of the tunnel to the device
// (ip_tunnel_lookup in Linux's net/ipv4/ip_tunnel.c).
func takes(g bridge.Gretap, t ovsdb.Tunnel) bool {
	fits := func(its, ours netip.Addr) bool { return !its.IsValid() || its == ours }
	return t.Type == "gre" && fits(g.Local, t.Local) && fits(g.Remote, t.Remote) &&
		g.Keyed == (t.Key != 0) && (!g.Keyed || g.Key == t.Key)
}
