package filter

import (
	"fmt"
	"slices"
	"strings"

	"sigs.k8s.io/knftables"
)

// guardTable returns our table of family inet. It checks packets that this host
// routes or receives.
func guardTable(r Rules) table {
	t := table{family: knftables.InetFamily, chains: []chain{
		{name: "forward", kind: knftables.FilterType, hook: knftables.ForwardHook, priority: "-10", rules: r.routed()},
		{name: "input", kind: knftables.FilterType, hook: knftables.InputHook, priority: "-10", rules: r.received()},
		{name: "postrouting", kind: knftables.FilterType, hook: knftables.PostroutingHook, priority: "150", rules: r.leaving()},
		{name: "prerouting", kind: knftables.FilterType, hook: knftables.PreroutingHook, priority: "-310", rules: r.entering()},
	}}
	if r.Guard.Port != "" {
		hosts, others := set{name: hostSet, kind: r.addrType()}, set{name: otherSet, kind: r.addrType()}
		for _, a := range r.Guard.Hosts {
			hosts.elements = append(hosts.elements, a.String())
		}
		for _, a := range r.Guard.Others {
			others.elements = append(others.elements, a.String())
		}
		slices.Sort(hosts.elements)
		slices.Sort(others.elements)
		t.sets = []set{hosts, others}
	}
	return t.trimmed()
}

func (r Rules) overIPv6() bool { return len(r.Guard.Hosts) > 0 && r.Guard.Hosts[0].Is6() }

func (r Rules) addrType() string {
	if r.overIPv6() {
		return ipv6Type
	}
	return ipv4Type
}

// ip returns nft's name of the underlay's protocol.
func (r Rules) ip() string {
	if r.overIPv6() {
		return "ip6"
	}
	return "ip"
}

// fromContainers matches packets that arrive by a Linux bridge. Containers are
// behind bridges, whatever the names of Docker's networks are. A bridge that
// has the underlay address does not match.
func (r Rules) fromContainers() string {
	if r.Guard.Link == "" {
		return `meta iifkind "bridge" `
	}
	return fmt.Sprintf(`meta iifkind "bridge" iifname != %q `, r.Guard.Link)
}

// services matches the ports that containers must not reach. It returns an
// empty string if there are none.
func (r Rules) services() string {
	var ports []string
	for _, p := range slices.Compact(slices.Sorted(slices.Values(r.Guard.Services))) {
		ports = append(ports, fmt.Sprint(p))
	}
	switch len(ports) {
	case 0:
		return ""
	case 1:
		return "meta l4proto { 6, 17 } th dport " + ports[0]
	}
	return "meta l4proto { 6, 17 } th dport { " + strings.Join(ports, ", ") + " }"
}

// entering returns rules for packets that a container sends. They drop packets
// whose source address does not belong to this host, and mark packets to
// containers of other hosts. An address that this host routes to Docker's
// bridge is allowed: for example a network behind a container that is a VPN
// gateway. From the pool, only addresses of this host's subnet are allowed,
// because Docker assigns them.
func (r Rules) entering() []string {
	g := r.Guard
	if g.Port == "" {
		return nil
	}
	pool, own := network(r.Pool), network(r.Subnet)
	in := fmt.Sprintf("iifname %q ", g.Bridge)
	local := in + fmt.Sprintf("meta mark & 0x%08x == 0x00000000 ", TunnelMark)
	var rules []string
	if !g.Blind {
		rules = append(rules, local+"ip saddr != 0.0.0.0 "+fibMissing+" drop")
	}
	if g.Settled && !g.Blind {
		rules = append(rules, local+"ip saddr "+pool+" ip saddr != "+own+" drop")
	}
	mark := fmt.Sprintf("meta mark set meta mark | 0x%08x", MeshMark)
	rules = append(rules, local+"ip saddr "+own+" ip daddr "+pool+" ip daddr != "+own+" "+mark)
	for _, p := range r.Forward {
		if p.Out == g.Bridge && p.In != g.Bridge {
			rules = append(rules, fmt.Sprintf("iifname %q ip saddr %s ip saddr != %s ip daddr %s %s", p.In, pool, own, own, mark))
		}
	}
	return rules
}

// routed returns rules for packets that this host routes. They keep containers
// away from the tunnels, the gossip and the metrics of other hosts. They also
// drop new connections that come out of a tunnel without a peer's source.
func (r Rules) routed() []string {
	g := r.Guard
	if g.Port == "" {
		return nil
	}
	to := r.fromContainers() + r.ip() + " daddr @" + hostSet + " "
	rules := []string{to + greProtocol + " drop", to + tunnelUDP + " drop"}
	if s := r.services(); s != "" {
		rules = append(rules, to+s+" drop")
	}
	if !g.Open {
		rules = append(rules, fmt.Sprintf("meta mark & 0x%08x == 0x%08x ct state new drop", TunnelMark|MeshMark, TunnelMark))
	}
	return rules
}

// received returns rules for packets that this host receives. They keep
// containers of all hosts away from its tunnels, gossip and metrics. They also
// drop tunnel packets that do not come from peers.
func (r Rules) received() []string {
	g := r.Guard
	if g.Port == "" {
		return nil
	}
	from := r.fromContainers()
	rules := []string{from + greProtocol + " drop", from + tunnelUDP + " drop"}
	if s := r.services(); s != "" {
		rules = append(rules, from+s+" drop", `iifname != "lo" ip saddr `+network(r.Pool)+" "+s+" drop")
	}
	for _, kind := range g.Tunnels {
		match := greProtocol
		if port := tunnelPorts[kind]; port != 0 {
			match = fmt.Sprintf("udp dport %d", port)
		}
		family := "meta nfproto ipv4 "
		if r.overIPv6() {
			family = "meta nfproto ipv6 "
		}
		device := ""
		if g.Link != "" {
			device = fmt.Sprintf("iifname %q ", g.Link)
		}
		if slices.Contains(g.Wild, kind) {
			if g.Link != "" {
				rules = append(rules, fmt.Sprintf("iifname != %q ", g.Link)+r.ip()+" saddr @"+hostSet+" "+match+" drop")
			}
			continue
		}
		rules = append(rules,
			device+r.ip()+" saddr @"+hostSet+" "+match+" accept",
			r.ip()+" saddr @"+otherSet+" "+match+" accept",
			family+match+" drop")
	}
	return rules
}

// leaving returns rules for packets into the tunnels. Only sources of this host
// may pass: its subnet, or an address of the host itself. Answers of a
// published port have such an address.
func (r Rules) leaving() []string {
	g := r.Guard
	if g.Port == "" || !g.Settled {
		return nil
	}
	pool, own := network(r.Pool), network(r.Subnet)
	return []string{fmt.Sprintf("oifname %q ip daddr %s ip daddr != %s ip saddr != %s fib saddr type != local drop", g.Bridge, pool, own, own)}
}
