package bridge

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/gremesh/gremesh/mesh/reconcile"
)

// problems returns the problems in the kernel that stop mesh traffic and that gremesh
// must not correct itself.
func problems(want Spec, have State) []reconcile.Problem {
	var all []reconcile.Problem
	if have.ForeignKind != "" {
		all = append(all, reconcile.Problem{
			Code: "GM-KERNEL-NAME", Object: want.OVSPort,
			Summary: fmt.Sprintf("device %s is of the kind %s and not Open vSwitch's, so there is no way from %s into the tunnels", want.OVSPort, have.ForeignKind, want.Bridge),
			Remedy:  fmt.Sprintf("set ovs.bridge to another name, or rename the device; then `ip -d link show %s` shows openvswitch, or tun", want.OVSPort),
		})
	}
	for _, s := range switches(want, have) {
		all = append(all, reconcile.Problem{
			Code: "GM-KERNEL-SWITCH", Object: s.Object, Summary: fmt.Sprintf("%s is %s: %s", s.Object, s.Is, s.Why), Remedy: s.Do,
		})
	}
	for _, o := range Overlaps(want.Pool, have.Intruders) {
		all = append(all, overlapProblem(want, o))
	}
	return append(append(all, conflicts(want.GRE, have.Gretaps)...), reversePath(want, have)...)
}

// switches returns the settings of devices that can stop packets of the mesh. They
// are settings of docker0, and disabled forwarding of a NIC that leads directly to
// a peer.
func switches(want Spec, have State) []Switch {
	found := slices.Clone(have.Switches)
	for _, nic := range have.Unforwarding {
		if slices.ContainsFunc(want.Peers, func(p Peer) bool { return p.Link == nic }) {
			found = append(found, Forwarding(nic))
		}
	}
	return found
}

// overlapProblem returns the problem of a route inside the pool that belongs to
// another program. Such a route is never removed.
func overlapProblem(want Spec, o Overlap) reconcile.Problem {
	by := "the route"
	if o.Network != "" {
		by = "the Docker network " + o.Network
	}
	whose := fmt.Sprintf("addresses of the pool %s", want.Pool)
	for _, p := range want.Peers {
		if subnet := p.Bip.Masked(); subnet.Overlaps(o.Route.Dst) {
			whose = fmt.Sprintf("addresses of %s, another host's subnet,", subnet)
			break
		}
	}
	return reconcile.Problem{
		Code: "GM-KERNEL-OVERLAP", Object: o.Route.Dst.String(),
		Summary: fmt.Sprintf("%s %s takes %s out of the mesh", by, o, whose), Remedy: o.Remedy(),
	}
}

// GRE is a GRE tunnel of Open vSwitch.
type GRE struct {
	Peer          string // the peer's name
	Local, Remote netip.Addr
	Key           uint32 // 0: none
}

// conflicts returns a problem for each tunnel whose packets the kernel delivers to
// another program's device instead of Open vSwitch.
func conflicts(tunnels []GRE, devices []Gretap) []reconcile.Problem {
	var all []reconcile.Problem
	for _, t := range tunnels {
		for _, d := range devices {
			if !d.captures(t) {
				continue
			}
			all = append(all, reconcile.Problem{
				Code: "GM-KERNEL-GRETAP", Object: d.Name,
				Summary: fmt.Sprintf("device %s takes the GRE packets of %s (%s): it is a gretap device between the same addresses, with the same key or none", d.Name, t.Peer, t.Remote),
				Remedy: fmt.Sprintf("`ip link delete %s` if nobody needs it; otherwise give it a key of its own at both ends (`ip link set %s type gretap key NUMBER`), or the mesh another one (`gremesh config set tunnel.key random`)",
					d.Name, d.Name),
			})
		}
	}
	return all
}

// captures reports whether the kernel delivers the packets of a tunnel to the device
// (ip_tunnel_lookup in Linux's net/ipv4/ip_tunnel.c).
func (g Gretap) captures(t GRE) bool {
	fits := func(its, ours netip.Addr) bool { return !its.IsValid() || its == ours }
	return fits(g.Local, t.Local) && fits(g.Remote, t.Remote) && g.Keyed == (t.Key != 0) && (!g.Keyed || g.Key == t.Key)
}

// reversePath returns a problem if reverse path filtering drops packets of other
// hosts' containers. These packets go to this host's underlay address, with the
// containers' own source addresses. Routes to those addresses lead to docker0. The
// kernel therefore treats packets that arrive at the NIC as forged.
func reversePath(want Spec, have State) []reconcile.Problem {
	if want.Unmasked == "" || !slices.Contains(have.StrictRPFilter, want.Unmasked) {
		return nil
	}
	return []reconcile.Problem{{
		Code: "GM-KERNEL-RPFILTER", Object: want.Unmasked,
		Summary: fmt.Sprintf("packets that containers of other hosts send to this host's underlay address are dropped: rp_filter of %s is 1, and they arrive with container addresses", want.Unmasked),
		Remedy:  fmt.Sprintf("`sysctl -w net.ipv4.conf.%s.rp_filter=2`, permanently in /etc/sysctl.d; or masquerade: {nonMasqueradeCIDRs: []} on all hosts", want.Unmasked),
	}}
}
