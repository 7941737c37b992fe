package filter

import (
	"net/netip"
	"slices"
)

// Rules is the desired state of this host's packet filter. If Rules is zero,
// nothing of ours should exist.
type Rules struct {
	Pool   netip.Prefix // the mesh's addresses, such as 172.17.0.0/16
	Subnet netip.Prefix // this host's part of it, such as 172.17.42.0/24
	// NonMasquerade are destinations that see the pool's own addresses. They
	// are IPv4 and sorted, and none lies within another. If there are none,
	// Docker masquerades as it does without gremesh.
	NonMasquerade []netip.Prefix
	// Keep asks to keep the destinations of the kernel's table, if there is a
	// table. NonMasquerade is then ignored. Keep is for a host whose File has
	// not been valid since the agent started. The last valid rules then survive
	// a restart.
	Keep bool
	// Forward are the paths of traffic from pool to pool through this host.
	Forward []Path
	// Quiet is the port of Docker's bridge that must not send the bridge's own
	// broadcasts and multicasts. If it is empty, all ports send them.
	Quiet string
	// Guard restricts containers, and traffic out of the tunnels.
	Guard Guard
}

// Path is a path through this host: in by one device, and out by another or the
// same.
type Path struct{ In, Out string }

var (
	linkLocal = netip.MustParsePrefix("169.254.0.0/16") // RFC 3927
	// private are the ranges of RFC 1918.
	private = []netip.Prefix{
		netip.MustParsePrefix("10.0.0.0/8"),
		netip.MustParsePrefix("172.16.0.0/12"),
		netip.MustParsePrefix("192.168.0.0/16"),
	}
)

// Compile returns the destinations that are not masqueraded according to c, in
// the form that Rules needs. The pool is always one of them. If c has no list,
// the private underlays (RFC 1918) are included, too. An underlay is the
// network of hosts of the mesh, or one host's address. Wider networks are not
// included, because containers could not reach a machine in them that has no
// route back to the pool.
func Compile(c Config, pool netip.Prefix, underlays []netip.Prefix) []netip.Prefix {
	all := []netip.Prefix{pool.Masked()}
	if c.KeepLinkLocal {
		all = append(all, linkLocal)
	}
	if c.NonMasqueradeCIDRs == nil {
		for _, u := range underlays {
			if slices.ContainsFunc(private, func(r netip.Prefix) bool { return within(u, r) }) {
				all = append(all, u.Masked())
			}
		}
	}
	for _, p := range c.NonMasqueradeCIDRs {
		if p.Addr().Is4() {
			all = append(all, p.Masked())
		}
	}
	return minimal(all)
}

// within adapts the rules to the state and the abilities of the kernel. It
// applies r.Keep, and it sets Blind if the kernel lacks the bridge family.
// Without that family, a packet out of a tunnel cannot be told from a packet of
// a container.
func (r Rules) within(have State) Rules {
	r.Guard.Blind = slices.Contains(have.MissingFamilies, "bridge")
	if r.Keep && have.Table != nil {
		r.NonMasquerade = minimal(append(have.NonMasquerade(), r.Pool.Masked()))
	}
	return r
}

// Unmarked returns the rules for a kernel without nftables' bridge family.
func Unmarked(r Rules) Rules {
	r.Guard.Blind = true
	return r
}

// minimal sorts the networks and removes those that lie within another. It
// changes its argument.
func minimal(all []netip.Prefix) []netip.Prefix {
	slices.SortFunc(all, netip.Prefix.Compare)
	var out []netip.Prefix
	for _, p := range all {
		// In this order a network comes directly before the networks that lie
		// within it.
		if len(out) == 0 || !within(p, out[len(out)-1]) {
			out = append(out, p)
		}
	}
	return out
}

func within(p, in netip.Prefix) bool { return p.Bits() >= in.Bits() && in.Contains(p.Addr()) }
