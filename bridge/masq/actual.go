package masq

import "sigs.k8s.io/knftables"

// Actual is what the packet filters have, as far as Rules are concerned with
// it.
type Actual struct {
	Table []string // nft's listing of our table of family ip, see parseListing; nil: there is none
	Quiet []string // the same of the one of family bridge
	Guard []string // the same of the one of family inet
	// Lacks are the families of nftables in which this kernel can't have our
	// table, or what its rules need: "ip", "bridge", "inet".
	Lacks   []string
	Filters []Filter // iptables' filter tables: of iptables-nft, of iptables-legacy, or both
	Unread  []string // which tables nft cannot read, and why
	Native  []Native // tables of nft's own with a chain that traffic is forwarded through
}

// ours is the listing of our table of a family.
func (a *Actual) ours(family knftables.Family) *[]string {
	switch family {
	case knftables.IPv4Family:
		return &a.Table
	case knftables.BridgeFamily:
		return &a.Quiet
	}
	return &a.Guard
}

// Filter is the filter table of one of iptables' two kinds.
type Filter struct {
	Tool   string // the command that changes it: "iptables-nft"
	Chains map[string]Chain
}

// Chain is a chain in the words of iptables-save(8).
type Chain struct {
	Policy string   // "ACCEPT" or "DROP"; "-": not a built-in chain
	Rules  []string // what follows "-A CHAIN"
}

// Native is a table of nftables that does not belong to iptables.
type Native struct {
	Family, Name string
	JSON         []byte // libnftables-json(5)
	Text         string // with handles, for people to read
}
