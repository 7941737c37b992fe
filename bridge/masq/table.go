package masq

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"sigs.k8s.io/knftables"
)

// The table is ours alone; whatever else is found in it goes. It has neither
// sets nor maps: of a transaction's changes only those of rules reach a packet
// all at once, see docs/decisions/0009-masquerade.md.
const (
	tableName = "gremesh"
	chainName = "postrouting"
	// priority is one before that of every chain that masquerades (srcnat,
	// 100): a connection keeps the first mapping that it is given. An accept
	// would not do: it ends this chain, and not the next.
	priority = "99"
	kept     = " snat to ip saddr" // the mapping of a source to itself
)

// natRules are the rules of the chain, as nft lists them.
func natRules(r Rules) []string {
	// A container that reaches itself by a published port is masqueraded by
	// Docker, or it would answer itself (daemon.json, userland-proxy).
	subnet := network(r.Subnet)
	all := []string{fmt.Sprintf("ip saddr %s ip daddr %s ct status dnat return", subnet, subnet)}
	for _, p := range r.NonMasquerade {
		all = append(all, fmt.Sprintf("ip saddr %s ip daddr %s%s", network(r.Pool), network(p), kept))
	}
	return all
}

// frame is what nft lists of the table besides the rules: what comes before
// them, and what after.
func frame() (head, tail []string) {
	return []string{
		"table ip " + tableName + " {",
		"chain " + chainName + " {",
		"type nat hook postrouting priority " + priority + "; policy accept;",
	}, []string{"}", "}"}
}

// listing is what nft lists of the table, line by line, blanks made single.
func listing(r Rules) []string {
	head, tail := frame()
	return slices.Concat(head, natRules(r), tail)
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
func framed(lines []string) bool {
	head, tail := frame()
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

// replace is the transaction that makes the table that lists as have into that
// of r; for the zero Rules it is gone. The chain stays if it is ours as it is:
// packets that pass while one chain takes another's place may meet neither.
func replace(r Rules, have []string) *knftables.Transaction {
	// A fake, for it is without an nft at hand; only its words are wanted.
	tx := knftables.NewFake(knftables.IPv4Family, tableName).NewTransaction()
	if have != nil && !framed(have) || !r.Pool.IsValid() {
		tx.Add(&knftables.Table{}) // or there may be none to delete
		tx.Delete(&knftables.Table{})
	}
	if !r.Pool.IsValid() {
		return tx
	}
	tx.Add(&knftables.Table{})
	tx.Add(&knftables.Chain{
		Name:     chainName,
		Type:     knftables.PtrTo(knftables.NATType),
		Hook:     knftables.PtrTo(knftables.PostroutingHook),
		Priority: knftables.PtrTo(knftables.BaseChainPriority(priority)),
	})
	tx.Flush(&knftables.Chain{Name: chainName})
	for _, rule := range natRules(r) {
		tx.Add(&knftables.Rule{Chain: chainName, Rule: rule})
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
