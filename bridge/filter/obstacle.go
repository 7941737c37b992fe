package filter

import (
	"fmt"
	"slices"
)

// Blocker is a rule or a policy that drops mesh traffic although our rules
// accept it.
type Blocker struct {
	Path  Path
	Chain string // its place, such as "iptables-nft chain FORWARD"
	Rule  string // the rule, or "policy DROP"
	Fix   string // a command that lets the traffic pass
	// Unsure reports whether a rule before it may accept the traffic. gremesh
	// does not evaluate all kinds of matches.
	Unsure bool
}

// String returns the place, the traffic and the rule.
func (o Blocker) String() string {
	drops := "drops"
	if o.Unsure {
		drops = "may drop"
	}
	return fmt.Sprintf("%s %s mesh traffic from %s to %s: %s", o.Chain, drops, o.Path.In, o.Path.Out, o.Rule)
}

// dockersTable is the table of Docker's nftables backend. Docker creates it
// again and again, so other programs' rules do not last in it.
const dockersTable = "docker-bridges"

// markOf returns the mark that mesh traffic has in the forward chains. It
// returns 0 if no table of ours sets the mark.
func (r Rules) markOf(have State) uint32 {
	if r.Guard.Port == "" || slices.Contains(have.MissingFamilies, "inet") || slices.Contains(have.MissingFamilies, "bridge") {
		return 0
	}
	return MeshMark
}

// Blockers returns the rules and policies that drop new connections from pool
// to pool on the paths of want.Forward. It assumes that the changes of Diff
// have been applied.
func Blockers(want Rules, have State) []Blocker {
	var all []Blocker
	for _, path := range want.Forward {
		t := traffic{Path: path, src: want.Pool, dst: want.Pool, mark: want.markOf(have)}
		for _, f := range have.Filters {
			chains := map[string]judged{}
			for name, c := range f.Chains {
				if name == userChain {
					foreign, at := insertPosition(c.Rules)
					c.Rules = slices.Insert(foreign, at, userRules(want)...)
				}
				chains[name] = judgedSave(c, t)
			}
			j := tracer{chains: chains}
			if v, by := j.base("FORWARD"); v == drops {
				all = append(all, Blocker{
					Path: path, Chain: f.Tool + " chain " + by.chain, Rule: by.rule, Unsure: j.unsure,
					Fix: fmt.Sprintf("%s -I FORWARD -s %s -d %s -i %s -o %s -j ACCEPT", f.Tool, t.src, t.dst, path.In, path.Out),
				})
			}
		}
		for _, n := range have.Native {
			chains, bases := judgedNative(n, t)
			for _, base := range bases {
				j := tracer{chains: chains}
				if v, by := j.base(base); v == drops {
					if n.Name == dockersTable {
						all = append(all, Blocker{
							Path: path, Chain: fmt.Sprintf("nftables table %s %s chain %s", n.Family, n.Name, by.chain), Rule: by.rule, Unsure: j.unsure,
							Fix: "restart Docker, which then reads bridge-accept-fwmark (Docker 29 and later)",
						})
						continue
					}
					all = append(all, Blocker{
						Path: path, Chain: fmt.Sprintf("nftables table %s %s chain %s", n.Family, n.Name, by.chain), Rule: by.rule, Unsure: j.unsure,
						Fix: fmt.Sprintf("nft insert rule %s %s %s iifname %s oifname %s ip saddr %s ip daddr %s accept",
							n.Family, n.Name, base, path.In, path.Out, t.src, t.dst),
					})
				}
			}
		}
	}
	return all
}
