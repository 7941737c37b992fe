package masq

import (
	"fmt"
	"net/netip"
	"strings"

	"sigs.k8s.io/knftables"
)

// The table is ours alone; whatever else is found in it goes.
const (
	tableName = "gremesh"
	setName   = "nonmasquerade"
	chainName = "postrouting"
	// priority is one before that of every chain that masquerades (srcnat,
	// 100): a connection keeps the first mapping that it is given. An accept
	// would not do: it ends this chain, and not the next.
	priority = "99"
)

// natRules are the rules of the chain, as nft lists them.
func natRules(r Rules) []string {
	return []string{
		// A container that reaches itself by a published port is masqueraded
		// by Docker, or it would answer itself (daemon.json, userland-proxy).
		fmt.Sprintf("ip saddr %s ip daddr %s ct status dnat return", network(r.Subnet), network(r.Subnet)),
		fmt.Sprintf("ip saddr %[1]s ip daddr @%[2]s snat ip prefix to ip saddr map { %[1]s : %[1]s }", network(r.Pool), setName),
	}
}

// listing is what nft lists of the table, line by line, blanks made single.
func listing(r Rules) []string {
	elements := make([]string, len(r.NonMasquerade))
	for i, p := range r.NonMasquerade {
		elements[i] = network(p)
	}
	lines := []string{
		"table ip " + tableName + " {",
		"set " + setName + " {",
		"type ipv4_addr",
		"flags interval",
		elementsPrefix + strings.Join(elements, ", ") + " }",
		"}",
		"chain " + chainName + " {",
		"type nat hook postrouting priority " + priority + "; policy accept;",
	}
	return append(append(lines, natRules(r)...), "}", "}")
}

const elementsPrefix = "elements = { "

// parseListing brings what nft has printed into the form of listing.
func parseListing(text string) []string {
	var lines []string
	for line := range strings.Lines(text) {
		line = strings.Join(strings.Fields(line), " ")
		last := len(lines) - 1
		switch {
		case line == "":
		case last >= 0 && strings.HasPrefix(lines[last], elementsPrefix) && !strings.HasSuffix(lines[last], "}"):
			lines[last] += " " + line
		default:
			lines = append(lines, line)
		}
	}
	return lines
}

// NonMasquerade returns the destinations that the kernel's table has now,
// which may be none.
func (a Actual) NonMasquerade() []netip.Prefix {
	var all []netip.Prefix
	for _, line := range a.Table {
		elements, ok := strings.CutPrefix(line, elementsPrefix)
		if !ok {
			continue
		}
		for e := range strings.SplitSeq(strings.TrimSuffix(elements, " }"), ", ") {
			if !strings.Contains(e, "/") {
				e += "/32"
			}
			if p, err := netip.ParsePrefix(e); err == nil {
				all = append(all, p)
			}
		}
	}
	return minimal(all)
}

// replace is the transaction that puts the table of r in the place of the one
// that there is; of the zero Rules, nothing.
func replace(r Rules) *knftables.Transaction {
	// A fake, for it is without an nft at hand; only its words are wanted.
	tx := knftables.NewFake(knftables.IPv4Family, tableName).NewTransaction()
	tx.Add(&knftables.Table{}) // or there would be none to delete
	tx.Delete(&knftables.Table{})
	if !r.Pool.IsValid() {
		return tx
	}
	tx.Add(&knftables.Table{})
	tx.Add(&knftables.Set{Name: setName, Type: "ipv4_addr", Flags: []knftables.SetFlag{knftables.IntervalFlag}})
	for _, p := range r.NonMasquerade {
		tx.Add(&knftables.Element{Set: setName, Key: []string{network(p)}})
	}
	tx.Add(&knftables.Chain{
		Name:     chainName,
		Type:     knftables.PtrTo(knftables.NATType),
		Hook:     knftables.PtrTo(knftables.PostroutingHook),
		Priority: knftables.PtrTo(knftables.BaseChainPriority(priority)),
	})
	for _, rule := range natRules(r) {
		tx.Add(&knftables.Rule{Chain: chainName, Rule: rule})
	}
	return tx
}

// network is p as nft and iptables-save write it within a rule.
func network(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.Masked().String()
}
