package bridge

import (
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
)

// Gretap is a device for Ethernet in GRE, ip-link(8), that somebody else has
// made. What fits it is handed to it by the kernel, before Open vSwitch's, which
// gets what fits no other.
type Gretap struct {
	Name          string
	Local, Remote netip.Addr // zero: any
	Keyed         bool
	Key           uint32 // of what it receives, where it is Keyed
}

// gretaps are those that are up and lead somewhere. Open vSwitch's own is
// external (flow-based), and the kernel's gretap0 comes last of all.
func gretaps(links []netlink.Link) []Gretap {
	var found []Gretap
	for _, l := range links {
		g, is := l.(*netlink.Gretap)
		if !is || g.FlowBased || g.Flags&net.FlagUp == 0 {
			continue
		}
		local, remote := specified(g.Local), specified(g.Remote)
		if !local.IsValid() && !remote.IsValid() {
			continue
		}
		// netlink v1.3.1 reads the two keys the wrong way round.
		found = append(found, Gretap{g.Name, local, remote, g.IFlags&nl.GRE_KEY != 0, g.OKey})
	}
	return found
}

// specified is an address, or zero for one that stands for any.
func specified(ip net.IP) netip.Addr {
	a, _ := netip.AddrFromSlice(ip)
	if a = a.Unmap(); a.IsUnspecified() {
		return netip.Addr{}
	}
	return a
}
