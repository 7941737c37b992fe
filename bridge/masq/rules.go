package masq

import (
	"net/netip"
	"slices"
)

// Rules are what this host's packet filter should have. The zero Rules desire
// nothing of ours at all.
type Rules struct {
	Pool   netip.Prefix // the mesh's addresses: 172.17.0.0/16
	Subnet netip.Prefix // this host's part of it: 172.17.42.0/24
	// NonMasquerade are destinations that see the pool's own addresses: IPv4,
	// sorted, none within another. None: Docker masquerades as it does by itself.
	NonMasquerade []netip.Prefix
	// Keep has the destinations of the kernel's table stay, whatever
	// NonMasquerade says, where there is a table: for a host whose File has not
	// been good since it started, so that the last good rules outlive a restart.
	Keep bool
	// Forward are the ways that traffic from pool to pool takes through this
	// host.
	Forward []Path
	// Quiet is the port of Docker's bridge by which the bridge's own broadcasts
	// and multicasts are not sent; empty: they are.
	Quiet string
	// Guard is what containers must not do, and what tunnels must not bring.
	Guard Guard
}

// Path is a way through this host: in by one device, out by another or the
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

// Compile returns the destinations that c keeps from being masqueraded, as
// Rules wants them. The pool is always one of them. Without a list of its own,
// c means the underlays too, as far as they are private (RFC 1918): each is the
// network that hosts of the mesh are in, or one host's address. Nothing wider,
// for a machine that has no route back to the pool would no longer be reached.
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

// within adapts the rules to what the kernel has and can: r.Keep, and a kernel
// without the bridge family. Without it nothing tells what came out of a tunnel
// from what a container has sent.
func (r Rules) within(have Actual) Rules {
	r.Guard.Blind = slices.Contains(have.Lacks, "bridge")
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

// minimal sorts, and drops what lies within another.
func minimal(all []netip.Prefix) []netip.Prefix {
	slices.SortFunc(all, netip.Prefix.Compare)
	var out []netip.Prefix
	for _, p := range all {
		// Sorted, a network comes right before those that lie within it.
		if len(out) == 0 || !within(p, out[len(out)-1]) {
			out = append(out, p)
		}
	}
	return out
}

func within(p, in netip.Prefix) bool { return p.Bits() >= in.Bits() && in.Contains(p.Addr()) }
