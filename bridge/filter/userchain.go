package filter

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/gremesh/gremesh/mesh/reconcile"
)

// userChain is the chain that Docker reserves for other programs' rules.
// FORWARD passes through it before Docker's own rules, and Docker never changes
// its content.
const userChain = "DOCKER-USER"

// mark is the comment that identifies our rules in userChain.
const mark = "-m comment --comment gremesh"

// userRules returns our rules in userChain, in the format of iptables-save.
//
// The last rule accepts answers to containers of other hosts. Without it,
// Docker before 28 drops the answer of a published port of a user-defined
// network. Such an answer leaves by Docker's bridge. Docker's isolation of
// networks comes before its accept of established connections.
func userRules(want Rules) []string {
	var all []string
	for _, p := range want.Forward {
		if p.In == p.Out {
			// Docker decides about traffic between containers of one host
			// (daemon.json, icc).
			all = append(all, userRule(want.Subnet.String(), want.Subnet.String(), p, "RETURN"))
		}
		all = append(all, userRule(want.Pool.String(), want.Pool.String(), p, "ACCEPT"))
	}
	for _, p := range want.Forward {
		if p.In == p.Out {
			all = append(all, fmt.Sprintf("-d %s -o %s -m conntrack --ctstate RELATED,ESTABLISHED %s -j ACCEPT", want.Pool, p.Out, mark))
		}
	}
	return all
}

func userRule(src, dst string, p Path, target string) string {
	return fmt.Sprintf("-s %s -d %s -i %s -o %s %s -j %s", src, dst, p.In, p.Out, mark, target)
}

func ours(rule string) bool { return strings.Contains(" "+rule+" ", " "+mark+" ") }

// insertPosition returns the operator's rules of the chain, and the index where our
// rules belong. Ours come after all of them, so that packets that the operator
// drops stay dropped. An older Docker ends the chain with RETURN: then ours
// come before that rule.
func insertPosition(rules []string) (foreign []string, at int) {
	foreign = slices.DeleteFunc(slices.Clone(rules), ours)
	at = len(foreign)
	if at > 0 && foreign[at-1] == "-j RETURN" {
		at--
	}
	return foreign, at
}

// diffUserChain returns the change of our rules in userChain. It returns none
// if there is no such chain, because Docker creates it.
func diffUserChain(want Rules, have Filter) []Change {
	chain, exists := have.Chains[userChain]
	if !exists {
		return nil
	}
	should := userRules(want)
	foreign, at := insertPosition(chain.Rules)
	if slices.Equal(chain.Rules, slices.Insert(slices.Clone(foreign), at, should...)) {
		return nil
	}
	var is []string
	var steps []step
	for _, r := range chain.Rules {
		if ours(r) {
			is = append(is, r)
			steps = append(steps, iptables{have.Tool, "-D " + userChain + " " + r})
		}
	}
	for i, r := range should {
		steps = append(steps, iptables{have.Tool, "-I " + userChain + " " + strconv.Itoa(at+1+i) + " " + r})
	}
	key := reconcile.Key{Component: component, Kind: have.Tool + " chain", Name: userChain}
	if slices.Equal(is, should) {
		return []Change{change(key, "our rules at another place", "our rules behind all others", steps...)}
	}
	return []Change{change(key, strings.Join(is, "; "), strings.Join(should, "; "), steps...)}
}

// iptables is one call of iptables(8). iptables-legacy has a lock that other
// processes hold only for moments. The option -w waits for it, in seconds.
// iptables-nft has no lock.
type iptables struct{ tool, args string }

func (i iptables) String() string { return i.tool + " -w 5 " + i.args }

func (i iptables) apply(ctx context.Context, _ *Host) error {
	_, err := run(ctx, i.tool, append([]string{"-w", "5"}, strings.Fields(i.args)...)...)
	return err
}
