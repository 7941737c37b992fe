package filter

import "sigs.k8s.io/knftables"

// State is the observed state of the packet filters, as far as Rules concern
// it.
type State struct {
	Table []string // nft's listing of our table of family ip, see parseListing; nil if there is none
	Quiet []string // the same for our table of family bridge
	Guard []string // the same for our table of family inet
	// MissingFamilies are the families of nftables in which this kernel
	// cannot have our table, or lacks a feature that its rules need: "ip",
	// "bridge", "inet".
	MissingFamilies []string
	Filters         []Filter // iptables' filter tables: of iptables-nft, of iptables-legacy, or of both
	Unread          []string // tables that nft cannot read, with the reason
	Native          []Native // tables that do not belong to iptables and have a chain for forwarded traffic
}

// ours returns the listing of our table of a family.
func (a *State) ours(family knftables.Family) *[]string {
	switch family {
	case knftables.IPv4Family:
		return &a.Table
	case knftables.BridgeFamily:
		return &a.Quiet
	}
	return &a.Guard
}

// Filter is the filter table of one kind of iptables: iptables-nft or
// iptables-legacy.
type Filter struct {
	Tool   string // the command that changes it, such as "iptables-nft"
	Chains map[string]Chain
}

// Chain is a chain in the format of iptables-save(8).
type Chain struct {
	Policy string   // "ACCEPT" or "DROP"; "-" if the chain is not built in
	Rules  []string // the text after "-A CHAIN"
}

// Native is a table of nftables that does not belong to iptables.
type Native struct {
	Family, Name string
	JSON         []byte // libnftables-json(5)
	Text         string // with handles, for people to read
}
