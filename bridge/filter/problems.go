package filter

import (
	"slices"

	"github.com/gremesh/gremesh/mesh/reconcile"
)

// Problems returns what this host lacks for the rules, and the rules of other
// programs that stop mesh traffic.
func Problems(want Rules, have Observation) []reconcile.Problem {
	if have.Unable != nil {
		return []reconcile.Problem{{Code: "GM-FILTER-UNABLE", Summary: have.Unable.Error()}}
	}
	all := unprotected(want, have.State)
	for _, u := range have.Unread {
		all = append(all, reconcile.Problem{
			Code: "GM-FILTER-UNREAD", Object: u,
			Summary: u + "; whether it drops mesh traffic is not known", Remedy: "upgrade nftables to the version that wrote the table",
		})
	}
	for _, o := range Blockers(want, have.State) {
		all = append(all, reconcile.Problem{Code: "GM-FILTER-DROPS", Object: o.String(), Summary: o.String(), Remedy: "let it pass: " + o.Fix})
	}
	return all
}

// unprotected returns a problem for each protection that this kernel cannot give.
func unprotected(want Rules, have State) []reconcile.Problem {
	var all []reconcile.Problem
	add := func(family, code, summary, remedy string, needed bool) {
		if needed && slices.Contains(have.MissingFamilies, family) {
			all = append(all, reconcile.Problem{Code: code, Summary: summary, Remedy: remedy})
		}
	}
	guarded := want.Guard.Port != ""
	add("ip", "GM-FILTER-NO-NAT", "Docker masquerades containers' packets to other hosts' underlay addresses and packets without a tunnel, so `direct` stays never: this kernel lacks nftables' ip family, or NAT in it",
		"run a kernel with CONFIG_NF_TABLES_IPV4 and CONFIG_NFT_NAT, or load their modules; packets in tunnels keep their source", want.Pool.IsValid())
	add("bridge", "GM-FILTER-BROADCASTS", "this host's own broadcasts on Docker's bridge go into all tunnels: this kernel lacks nftables' bridge family",
		"run a kernel with CONFIG_NF_TABLES_BRIDGE; until then they only cost bandwidth", want.Quiet != "")
	add("inet", "GM-FILTER-UNGUARDED", "containers reach the tunnels, the gossip and the metrics of hosts, and may send with forged sources: this kernel lacks nftables' inet family, or fib expressions in it",
		"run a kernel with CONFIG_NF_TABLES_INET and CONFIG_NFT_FIB_INET, or load their modules", guarded)
	add("bridge", "GM-FILTER-SOURCES", "packets out of the tunnels are not checked for their source, and containers may send frames into them: this kernel lacks nftables' bridge family",
		"run a kernel with CONFIG_NF_TABLES_BRIDGE, or load its module", guarded)
	return all
}
