package masq

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"sigs.k8s.io/knftables"
)

// tableName is that of our two tables. They are ours alone; whatever else is
// found in them goes. They have neither sets nor maps: of a transaction's
// changes only those of rules reach a packet all at once, see
// docs/decisions/0009-masquerade.md.
const tableName = "gremesh"

const kept = " snat to ip saddr" // the mapping of a source to itself

// table is one of ours: its one chain, and the rules in it as nft lists them.
type table struct {
	family   knftables.Family
	chain    string
	kind     knftables.BaseChainType
	hook     knftables.BaseChainHook
	priority string
	rules    []string // none: there should be no table
}

func (t table) String() string { return fmt.Sprintf("nftables table %s %s", t.family, tableName) }

// natTable keeps sources. Its priority is one before that of every chain that
// masquerades (srcnat, 100): a connection keeps the first mapping that it is
// given. An accept would not do: it ends this chain, and not the next.
func natTable(r Rules) table {
	t := table{
		family: knftables.IPv4Family, chain: "postrouting", kind: knftables.NATType,
		hook: knftables.PostroutingHook, priority: "99",
	}
	if !r.Pool.IsValid() {
		return t
	}
	// A container that reaches itself by a published port is masqueraded by
	// Docker, or it would answer itself (daemon.json, userland-proxy).
	subnet := network(r.Subnet)
	t.rules = append(t.rules, fmt.Sprintf("ip saddr %s ip daddr %s ct status dnat return", subnet, subnet))
	for _, p := range r.NonMasquerade {
		t.rules = append(t.rules, fmt.Sprintf("ip saddr %s ip daddr %s%s", network(r.Pool), network(p), kept))
	}
	return t
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

// frame is what nft lists of the table besides the rules: what comes before
// them, and what after.
func (t table) frame() (head, tail []string) {
	return []string{
		fmt.Sprintf("table %s %s {", t.family, tableName),
		"chain " + t.chain + " {",
		fmt.Sprintf("type %s hook %s priority %s; policy accept;", t.kind, t.hook, t.priority),
	}, []string{"}", "}"}
}

// listing is what nft lists of the table, line by line, blanks made single;
// nil: there should be none.
func (t table) listing() []string {
	if len(t.rules) == 0 {
		return nil
	}
	head, tail := t.frame()
	return slices.Concat(head, t.rules, tail)
}

// parseListing brings what nft has printed into the form of listing.
func parseListing(text string) []string {
	var lines []string
	for line := range strings.Lines(text) {
		if line = strings.Join(strings.Fields(line), " "); line != "" {
			lines = append(lines, line)
		}
	}
	return lines
}

// framed says whether a listing is of our chain and nothing beside it,
// whatever the rules.
func (t table) framed(lines []string) bool {
	head, tail := t.frame()
	rules := len(lines) - len(head) - len(tail)
	return rules >= 0 && slices.Equal(lines[:len(head)], head) && slices.Equal(lines[len(lines)-len(tail):], tail) &&
		!slices.Contains(lines[len(head):len(head)+rules], "}")
}

// NonMasquerade returns the destinations that the kernel's table has now,
// which may be none.
func (a Actual) NonMasquerade() []netip.Prefix {
	var all []netip.Prefix
	for _, line := range a.Table {
		rule, ok := strings.CutSuffix(line, kept)
		if !ok {
			continue
		}
		_, text, _ := strings.Cut(rule, " ip daddr ")
		if !strings.Contains(text, "/") {
			text += "/32"
		}
		if p, err := netip.ParsePrefix(text); err == nil {
			all = append(all, p)
		}
	}
	return minimal(all)
}

// replace is the transaction that makes the table that lists as have into t.
// The chain stays if it is ours as it is: packets that pass while one chain
// takes another's place may meet neither.
func (t table) replace(have []string) *knftables.Transaction {
	// A fake, for it is without an nft at hand; only its words are wanted.
	tx := knftables.NewFake(t.family, tableName).NewTransaction()
	if have != nil && !t.framed(have) || len(t.rules) == 0 {
		tx.Add(&knftables.Table{}) // or there may be none to delete
		tx.Delete(&knftables.Table{})
	}
	if len(t.rules) == 0 {
		return tx
	}
	tx.Add(&knftables.Table{})
	tx.Add(&knftables.Chain{
		Name:     t.chain,
		Type:     knftables.PtrTo(t.kind),
		Hook:     knftables.PtrTo(t.hook),
		Priority: knftables.PtrTo(knftables.BaseChainPriority(t.priority)),
	})
	tx.Flush(&knftables.Chain{Name: t.chain})
	for _, rule := range t.rules {
		tx.Add(&knftables.Rule{Chain: t.chain, Rule: rule})
	}
	return tx
}

// network is p as nft writes it within a rule.
func network(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.Masked().String()
}
