package filter

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"sigs.k8s.io/knftables"

	"github.com/gremesh/gremesh/mesh/reconcile"
)

// tableName is the name of our tables, one per family. They belong to gremesh
// alone, so gremesh removes everything else in them.
const tableName = "gremesh"

const snatToSelf = " snat to ip saddr" // maps a source to itself

// Names of sets and types of their elements.
const (
	hostSet  = "hosts"
	peerSet  = "peers"
	otherSet = "others"

	ipv4Type = "ipv4_addr"
	ipv6Type = "ipv6_addr"
	peerType = "ether_addr . ipv4_addr"
)

// table is one of our tables. Its sets and chains are sorted by name. A table
// without rules should not exist.
type table struct {
	family knftables.Family
	sets   []set
	chains []chain
}

// set is a named set, in nft's form.
type set struct {
	name, kind string
	interval   bool
	elements   []string // sorted
}

// chain is a base chain with the policy accept. Its rules are in nft's form.
type chain struct {
	name     string
	kind     knftables.BaseChainType
	hook     knftables.BaseChainHook
	priority string
	rules    []string
}

func (t table) key() reconcile.Key {
	return reconcile.Key{Component: component, Kind: "nftables table", Name: string(t.family), Field: tableName}
}

func (t table) String() string { return fmt.Sprintf("nftables table %s %s", t.family, tableName) }

// wanted reports whether the table should exist.
func (t table) wanted() bool {
	return slices.ContainsFunc(t.chains, func(c chain) bool { return len(c.rules) > 0 })
}

// trimmed returns the table without chains that have no rules. If no chain is
// left, it has no sets either.
func (t table) trimmed() table {
	t.chains = slices.DeleteFunc(slices.Clone(t.chains), func(c chain) bool { return len(c.rules) == 0 })
	if len(t.chains) == 0 {
		t.sets = nil
	}
	return t
}

// ourTables returns all tables that want needs, one per family that gremesh
// uses.
func ourTables(want Rules) []table {
	return []table{natTable(want), bridgeTable(want), guardTable(want)}
}

// natTable returns our table of family ip, which preserves sources. Its
// priority is 99, so it runs before every chain that masquerades (srcnat, 100).
// A connection keeps the first mapping that it gets. An accept rule would not
// work: it ends this chain, but not the next one.
func natTable(r Rules) table {
	c := chain{name: "postrouting", kind: knftables.NATType, hook: knftables.PostroutingHook, priority: "99"}
	hosts := set{name: hostSet, kind: ipv4Type}
	if len(r.NonMasquerade) > 0 {
		// Docker masquerades a container that reaches itself by a published
		// port. This rule leaves that traffic to Docker. Otherwise the
		// container would answer itself (daemon.json, userland-proxy).
		subnet := network(r.Subnet)
		c.rules = append(c.rules, fmt.Sprintf("ip saddr %s ip daddr %s ct status dnat return", subnet, subnet))
		for _, p := range r.NonMasquerade {
			if p.IsSingleIP() {
				hosts.elements = append(hosts.elements, p.Addr().String())
			} else {
				c.rules = append(c.rules, keep(r.Pool, network(p)))
			}
		}
		slices.Sort(hosts.elements)
		c.rules = append(c.rules, keep(r.Pool, "@"+hostSet))
	}
	return table{family: knftables.IPv4Family, sets: []set{hosts}, chains: []chain{c}}
}

func keep(pool netip.Prefix, to string) string {
	return fmt.Sprintf("ip saddr %s ip daddr %s%s", network(pool), to, snatToSelf)
}

// NonMasquerade returns the destinations that the kernel's table has now. There
// may be none.
func (a State) NonMasquerade() []netip.Prefix {
	var all []netip.Prefix
	var text string
	for _, line := range a.Table {
		if rule, is := strings.CutSuffix(line, snatToSelf); is {
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

// network returns p as nft writes it in a rule.
func network(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.Masked().String()
}
