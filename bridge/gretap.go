package bridge

import (
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
)

// Gretap is another program's device for Ethernet in GRE (ip-link(8)). The kernel
// delivers packets that match such a device to it. Open vSwitch's device receives
// only packets that match no other device.
type Gretap struct {
	Name          string
	Local, Remote netip.Addr // zero: any
	Keyed         bool       // the device receives only packets with Key; false: only packets without a key
	Key           uint32     // valid if Keyed
}

// gretaps returns other programs' gretap devices that are up and have a local or a
// remote address. Open vSwitch's own device is external (flow-based). The kernel's
// gretap0 has no address; the kernel delivers to it only if no other device
// matches.
func gretaps(links []netlink.Link) []Gretap {
	var found []Gretap
	for _, l := range links {
		g, is := l.(*netlink.Gretap)
		if !is || g.FlowBased || g.Flags&net.FlagUp == 0 {
			continue
		}
		local, remote := specified(g.Local), specified(g.Remote)
		keyed := g.IFlags&nl.GRE_KEY != 0
		if !local.IsValid() && !remote.IsValid() && !keyed {
			continue
		}
		// netlink v1.3.1 swaps the two keys: OKey is the key of received packets.
		found = append(found, Gretap{g.Name, local, remote, keyed, g.OKey})
	}
	return found
}

// specified returns an address, or zero for the unspecified address, which means
// any.
func specified(ip net.IP) netip.Addr {
	a, _ := netip.AddrFromSlice(ip)
	if a = a.Unmap(); a.IsUnspecified() {
		return netip.Addr{}
	}
	return a
}
