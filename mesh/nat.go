package mesh

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/gremesh/gremesh/bridge"
	"github.com/gremesh/gremesh/bridge/filter"
	"github.com/gremesh/gremesh/ovsdb"
)

// natRules returns the packet filter rules for the traffic that the desired
// routes bring through this host. The underlays contain only the addresses of
// hosts with a tunnel to this host, not whole networks. Those hosts have a
// route back to the pool, but other machines in their networks may not have
// one.
func (c Config) natRules(view View, desired *Desired) filter.Rules {
	self := view.Self
	underlays := []netip.Prefix{hostPrefix(self.Underlay)}
	for _, t := range desired.Switch.Tunnels {
		underlays = append(underlays, hostPrefix(t.Remote))
	}
	rules := filter.Rules{
		Pool: c.Space.Prefix, Subnet: self.Subnet, Keep: !c.NAT.Read,
		NonMasquerade: filter.Compile(c.NAT.Config, c.Space.Prefix, underlays),
		Forward:       c.forward(desired.Host.Peers),
	}
	if !c.Flood {
		rules.Quiet = c.Switch
	}
	rules.Guard = c.guard(view, desired.Switch.Tunnels)
	return rules
}

// forward returns the pairs of devices between which mesh traffic passes.
func (c Config) forward(peers []bridge.Peer) []filter.Path {
	ways := []filter.Path{{In: c.Bridge, Out: c.Bridge}}
	if slices.ContainsFunc(peers, func(p bridge.Peer) bool { return p.Via.IsValid() }) {
		ways = append(ways, filter.Path{In: c.UnderlayLink, Out: c.Bridge}, filter.Path{In: c.Bridge, Out: c.UnderlayLink})
	}
	return ways
}

func hostPrefix(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, a.BitLen()) }

// natProblems returns the problems of the operator's masquerading
// configuration.
func natProblems(said filter.FileState) []Problem {
	var problems []Problem
	switch {
	case said.Err != nil && said.Read:
		problems = append(problems, Problem{What: "masquerade.config_file: " + said.Err.Error(), Do: "correct it; its last valid content counts until then"})
	case said.Err != nil:
		problems = append(problems, Problem{What: "masquerade.config_file: " + said.Err.Error(), Do: "correct it; until then destinations that are in nftables' table ip gremesh stay, or else are the default"})
	}
	for _, w := range said.Config.Warnings() {
		problems = append(problems, Problem{What: "masquerade: " + w})
	}
	return problems
}

// plan calls Plan with the current masquerading configuration, and with the
// tunnel types of the existing ports.
func (c LoopConfig) plan(view View, keep Keep, ovs ovsdb.State) (*Desired, []Problem) {
	c.Config.NAT = c.Masquerade.State()
	return Plan(c.Config, c.inPlace(view, ovs), keep)
}

// filterOutcome records what the engine found in the packet filter. It returns
// the problems of each rule or setting that stops mesh traffic.
// A host without nft has that as a problem, and is no failure.
func (l *Loop) filterOutcome() ([]Problem, error) {
	r := l.engine.Last().Result(filterComponent)
	if r.Err != nil {
		return problemsOf(r), errors.Unwrap(r.Err)
	}
	have, ok := r.State.(filter.Observation)
	if !ok { // ctx has ended
		return nil, nil
	}
	if hides := have.Unable != nil || slices.Contains(have.MissingFamilies, "ip"); hides != l.hides {
		l.hides = hides
		l.tellOpen()
	}
	l.here.lacks = have.MissingFamilies
	return problemsOf(r), nil
}

// reversePath returns a problem if the strict reverse path filter drops packets
// of containers on other hosts. Those packets arrive by the NIC with the
// containers' own addresses. The route to these addresses leads to Docker's
// bridge, so the kernel takes the packets for forged ones.
func reversePath(self Host, link string, want filter.Rules, strict []string) []Problem {
	kept := slices.ContainsFunc(want.NonMasquerade, func(p netip.Prefix) bool { return p.Contains(self.Underlay) })
	if !kept || !slices.Contains(strict, link) {
		return nil
	}
	return []Problem{{
		What: fmt.Sprintf("packets from containers of other hosts to this host's underlay address %s are dropped: rp_filter of %s is 1 (strict), and these packets have the containers' addresses", self.Underlay, link),
		Do:   fmt.Sprintf("sysctl -w net.ipv4.conf.%s.rp_filter=2, for good in /etc/sysctl.d; or masquerade: {nonMasqueradeCIDRs: []} on all hosts", link),
	}}
}

// dropNAT deletes everything that gremesh has created in the packet filter.
func dropNAT(ctx context.Context, nat NAT) error {
	have, err := nat.Observe(ctx)
	if err != nil {
		if errors.Is(err, filter.ErrUnable) {
			return nil
		}
		return err
	}
	return nat.Apply(ctx, filter.Diff(filter.Rules{}, have))
}
