package masq

import (
	"net/netip"
	"strings"
)

// traffic is new connections on a path between any two addresses.
type traffic struct {
	Path
	src, dst netip.Prefix
	mark     uint32 // of the packet, see MeshMark
}

// answer says whether a rule matches traffic.
type answer int

const (
	no answer = iota
	maybe
	yes
)

// verdict is what a rule, or a chain, does with traffic.
type verdict int

const (
	goesOn verdict = iota
	accepts
	drops
	returns
	jumps
	leaves // goes to another chain, and does not come back
)

// judged is a chain as traffic meets it.
type judged struct {
	policy verdict // of a base chain
	rules  []judgedRule
}

type judgedRule struct {
	text    string
	matches answer
	verdict verdict
	target  string // of jumps and leaves
}

// culprit is where traffic ends.
type culprit struct{ chain, rule string }

// judge follows traffic through the chains of one table.
type judge struct {
	chains map[string]judged
	unsure bool // a rule may have accepted the traffic
	depth  int
	steps  int // rules that were looked at
}

// base judges a chain that traffic begins with.
func (j *judge) base(name string) (verdict, culprit) {
	if v, by := j.follow(name); v != goesOn {
		return v, by
	}
	return j.chains[name].policy, culprit{name, "policy DROP"}
}

func (j *judge) follow(name string) (verdict, culprit) {
	const deepest = 16 // as in nftables, NFT_JUMP_STACK_SIZE
	// The kernel accepts no loop. A listing with several jumps from a chain to
	// itself would take for ever.
	const most = 1 << 18
	if j.depth >= deepest {
		return goesOn, culprit{}
	}
	j.depth++
	defer func() { j.depth-- }()
	for _, r := range j.chains[name].rules {
		if j.steps++; j.steps > most {
			j.unsure = true
			return goesOn, culprit{}
		}
		if r.matches == maybe && (r.verdict == accepts || r.verdict == jumps || r.verdict == leaves) {
			j.unsure = true
		}
		if r.matches != yes {
			continue
		}
		switch r.verdict {
		case accepts, drops:
			return r.verdict, culprit{name, r.text}
		case returns:
			return goesOn, culprit{}
		case jumps, leaves:
			if v, by := j.follow(r.target); v != goesOn || r.verdict == leaves {
				return v, by
			}
		}
	}
	return goesOn, culprit{}
}

// inNetwork says whether all, some, or no addresses of a are in b.
func inNetwork(a, b netip.Prefix) answer {
	switch {
	case within(a, b):
		return yes
	case a.Overlaps(b):
		return maybe
	}
	return no
}

// isDevice knows the wildcard at the end of a name: "+" for iptables, "*" for
// nftables.
func isDevice(name, pattern, wildcard string) answer {
	if stem, ok := strings.CutSuffix(pattern, wildcard); ok && strings.HasPrefix(name, stem) || name == pattern {
		return yes
	}
	return no
}

func (a answer) not(really bool) answer {
	if really {
		return yes - a
	}
	return a
}
