package masq

import (
	"fmt"
	"slices"

	"sigs.k8s.io/knftables"
)

const group = "ether daddr & 01:00:00:00:00:00 != 00:00:00:00:00:00" // broadcasts and multicasts (IEEE 802)

const subnetSet = "subnets" // of known peers

// bridgeTable judges frames on their way between Docker's bridge and the
// tunnels, in both directions.
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

// outOfTunnels drops what comes with a source of the pool that is not the
// sending peer's, and marks the rest. It runs before all else that looks at
// packets, also before the frames of a bridge are shown to iptables.
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
		// Containers' own frames: their broadcasts, and what they answer to ARP.
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

// intoTunnels lets nothing that a container sends bypass its own host: packets to
// other hosts are routed, and so do not pass here. ARP does, and with one
// broadcast domain so do broadcasts.
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

// ownIntoTunnels drops what the bridge itself sends to all ports on its way to
// the tunnels: the flags of a port (bridge(8), bcast_flood) are about what others
// send. "meta pkttype" is not set at this hook.
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
