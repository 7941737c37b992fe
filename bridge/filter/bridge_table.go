package filter

import (
	"fmt"
	"slices"

	"sigs.k8s.io/knftables"
)

// group matches broadcasts and multicasts (IEEE 802).
const group = "ether daddr & 01:00:00:00:00:00 != 00:00:00:00:00:00"

const subnetSet = "subnets" // name of the set of the known peers' subnets

// bridgeTable returns our table of family bridge. It checks frames between
// Docker's bridge and the tunnels, in both directions.
func bridgeTable(r Rules) table {
	t := table{family: knftables.BridgeFamily, chains: []chain{
		{name: "forward", kind: knftables.FilterType, hook: knftables.ForwardHook, priority: "0", rules: r.intoTunnels()},
		{name: "output", kind: knftables.FilterType, hook: knftables.OutputHook, priority: "0", rules: r.ownIntoTunnels()},
		{name: "prerouting", kind: knftables.FilterType, hook: knftables.PreroutingHook, priority: "-300", rules: r.outOfTunnels()},
	}}
	if r.Guard.Port != "" {
		peers := set{name: peerSet, kind: peerType, interval: true}
		for _, s := range r.Guard.Sources {
			peers.elements = append(peers.elements, s.String())
		}
		slices.Sort(peers.elements)
		t.sets = append(t.sets, peers)
		if r.Guard.Open {
			subnets := set{name: subnetSet, kind: ipv4Type, interval: true}
			for _, p := range r.Guard.taken(r.Pool) {
				subnets.elements = append(subnets.elements, network(p))
			}
			slices.Sort(subnets.elements)
			t.sets = append(t.sets, subnets)
		}
	}
	return t.trimmed()
}

// outOfTunnels returns rules for frames that come out of the tunnels. They drop
// a frame if its source is in the pool and does not belong to the peer that
// sent it. They mark the others. The rules run before all others that look at
// packets, and before iptables sees the frames of a bridge.
func (r Rules) outOfTunnels() []string {
	g := r.Guard
	if g.Port == "" {
		return nil
	}
	in := fmt.Sprintf("iifname %q ", g.Port)
	rules := []string{
		in + fmt.Sprintf("meta mark set meta mark | 0x%08x", TunnelMark),
		in + fmt.Sprintf("ether saddr . ip saddr @%s meta mark set meta mark | 0x%08x accept", peerSet, MeshMark),
		in + fmt.Sprintf("ether saddr . arp saddr ip @%s accept", peerSet),
	}
	own := network(r.Subnet)
	if g.Domain {
		// Accept frames that containers of other hosts send themselves:
		// broadcasts and answers to ARP.
		rules = append(rules,
			in+"ip saddr "+own+" drop",
			in+"arp saddr ip "+own+" drop",
			in+"arp saddr ip "+network(r.Pool)+" accept",
			in+group+" ip saddr "+network(r.Pool)+fmt.Sprintf(" meta mark set meta mark | 0x%08x accept", MeshMark))
	}
	foreign := network(r.Pool)
	if g.Open {
		rules = append(rules, in+"ip saddr "+own+" drop", in+"arp saddr ip "+own+" drop")
		foreign = "@" + subnetSet
	}
	return append(rules, in+"ip saddr "+foreign+" drop", in+"arp saddr ip "+foreign+" drop")
}

// intoTunnels returns rules for frames from containers into the tunnels. They
// drop frames that would bypass the container's own host. Packets to other
// hosts are routed, so they do not pass here. ARP is accepted. With one
// broadcast domain, broadcasts are accepted, too.
func (r Rules) intoTunnels() []string {
	g := r.Guard
	if g.Port == "" {
		return nil
	}
	out := fmt.Sprintf("oifname %q ", g.Port)
	var rules []string
	if g.BFD {
		rules = append(rules, out+bfdPort+" drop")
	}
	if g.Domain {
		rules = append(rules, out+group+" ip saddr "+network(r.Subnet)+" accept")
	}
	return append(rules, out+"arp saddr ip "+network(r.Subnet)+" accept", out+"drop")
}

// ownIntoTunnels returns rules for frames that the bridge itself sends. They
// drop its broadcasts and multicasts into the tunnels. The flags of a port
// cannot do that (bridge(8), bcast_flood), because they concern only frames
// that the bridge forwards. The rules do not use "meta pkttype", because it is
// not set at this hook.
func (r Rules) ownIntoTunnels() []string {
	var rules []string
	if r.Guard.Port != "" && r.Guard.BFD {
		rules = append(rules, fmt.Sprintf("oifname %q ", r.Guard.Port)+bfdPort+" drop")
	}
	if r.Quiet != "" {
		rules = append(rules, fmt.Sprintf("oifname %q %s drop", r.Quiet, group))
	}
	return rules
}
