package masq

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"sigs.k8s.io/knftables"
)

// tableName is that of our two tables. They are ours alone; whatever else is
// found in them goes.
const tableName = "gremesh"

const kept = " snat to ip saddr" // the mapping of a source to itself

// The addresses that keep their sources are in a set of the nat table.
const (
	hostSet = "hosts"
	setType = "ipv4_addr"
)

// table is one of ours: its one chain with the rules in it as nft lists them,
// and its set, if it has one.
type table struct {
	family   knftables.Family
	chain    string
	kind     knftables.BaseChainType
	hook     knftables.BaseChainHook
	priority string
	rules    []string // none: there should be no table
	set      string   // of IPv4 addresses; empty: none
	elements []string // of the set, sorted
}

func (t table) String() string { return fmt.Sprintf("nftables table %s %s", t.family, tableName) }

// natTable keeps sources. Its priority is one before that of every chain that
// masquerades (srcnat, 100): a connection keeps the first mapping that it is
// given. An accept would not do: it ends this chain, and not the next.
func natTable(r Rules) table {
	t := table{
		family: knftables.IPv4Family, chain: "postrouting", kind: knftables.NATType,
		hook: knftables.PostroutingHook, priority: "99", set: hostSet,
	}
	if !r.Pool.IsValid() {
		return t
	}
	// A container that reaches itself by a published port is masqueraded by
	// Docker, or it would answer itself (daemon.json, userland-proxy).
	subnet := network(r.Subnet)
	t.rules = append(t.rules, fmt.Sprintf("ip saddr %s ip daddr %s ct status dnat return", subnet, subnet))
	for _, p := range r.NonMasquerade {
		if p.IsSingleIP() {
			t.elements = append(t.elements, p.Addr().String())
		} else {
			t.rules = append(t.rules, keep(r.Pool, network(p)))
		}
	}
	slices.Sort(t.elements)
	t.rules = append(t.rules, keep(r.Pool, "@"+hostSet))
	return t
}

func keep(pool netip.Prefix, to string) string {
	return fmt.Sprintf("ip saddr %s ip daddr %s%s", network(pool), to, kept)
}

// quietTable drops what the bridge itself sends to all ports on its way to one
// of them: the flags of a port (bridge(8), bcast_flood) are about what others
// send. The bit of the address is that of groups (IEEE 802); "meta pkttype" is
// not set at this hook.
func quietTable(r Rules) table {
	t := table{
		family: knftables.BridgeFamily, chain: "output", kind: knftables.FilterType,
		hook: knftables.OutputHook, priority: "0",
	}
	if r.Quiet != "" {
		t.rules = []string{fmt.Sprintf("oifname %q ether daddr & 01:00:00:00:00:00 != 00:00:00:00:00:00 drop", r.Quiet)}
	}
	return t
}

// NonMasquerade returns the destinations that the kernel's table has now,
// which may be none.
func (a Actual) NonMasquerade() []netip.Prefix {
	var all []netip.Prefix
	var text string
	for _, line := range a.Table {
		if rule, is := strings.CutSuffix(line, kept); is {
			_, text, _ = strings.Cut(rule, " ip daddr ")
		} else if text, is = strings.CutPrefix(line, element); !is {
			continue
		}
		if !strings.Contains(text, "/") {
			text += "/32"
		}
		if p, err := netip.ParsePrefix(text); err == nil {
			all = append(all, p)
		}
	}
	return minimal(all)
}

// network is p as nft writes it within a rule.
func network(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.Masked().String()
}
