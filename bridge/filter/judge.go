package filter

import (
	"net/netip"
	"strings"
)

// traffic is new connections on a path, from any address of src to any of dst.
type traffic struct {
	Path
	src, dst netip.Prefix
	mark     uint32 // the packet mark, see MeshMark
}

// answer says whether a rule matches traffic.
type answer int

const (
	no answer = iota
	maybe
	yes
)

// verdict is the effect of a rule or a chain on traffic.
type verdict int

const (
	fallThrough verdict = iota
	accepts
	drops
	returns
	jumps
	leaves // goes to another chain and does not return
)

// judged is a chain, evaluated for some traffic.
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

// dropSite is the place where traffic ends.
type dropSite struct{ chain, rule string }

// tracer follows traffic through the chains of one table.
type tracer struct {
	chains map[string]judged
	unsure bool // a rule that cannot be evaluated may have accepted the traffic
	depth  int
	steps  int // number of rules that were evaluated
}

// base evaluates a base chain. It returns the verdict and its place.
func (j *tracer) base(name string) (verdict, dropSite) {
	if v, by := j.follow(name); v != fallThrough {
		return v, by
	}
	return j.chains[name].policy, dropSite{name, "policy DROP"}
}

func (j *tracer) follow(name string) (verdict, dropSite) {
	const deepest = 16 // nftables' limit, NFT_JUMP_STACK_SIZE
	// The kernel accepts no loop. Without this limit, follow would take far too
	// long for a listing with several jumps from a chain to itself.
	const most = 1 << 18
	if j.depth >= deepest {
		return fallThrough, dropSite{}
	}
	j.depth++
	defer func() { j.depth-- }()
	for _, r := range j.chains[name].rules {
		if j.steps++; j.steps > most {
			j.unsure = true
			return fallThrough, dropSite{}
		}
		if r.matches == maybe && (r.verdict == accepts || r.verdict == jumps || r.verdict == leaves) {
			j.unsure = true
		}
		if r.matches != yes {
			continue
		}
		switch r.verdict {
		case accepts, drops:
			return r.verdict, dropSite{name, r.text}
		case returns:
			return fallThrough, dropSite{}
		case jumps, leaves:
			if v, by := j.follow(r.target); v != fallThrough || r.verdict == leaves {
				return v, by
			}
		}
	}
	return fallThrough, dropSite{}
}

// inNetwork reports whether all (yes), some (maybe) or no addresses of a are in
// b.
func inNetwork(a, b netip.Prefix) answer {
	switch {
	case within(a, b):
		return yes
	case a.Overlaps(b):
		return maybe
	}
	return no
}

// isDevice reports whether a pattern matches a device name. A pattern may end
// with a wildcard: "+" for iptables, "*" for nftables.
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
