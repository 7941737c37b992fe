package bridge

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Candidate is an address that peers may reach this host by.
type Candidate struct {
	Addr netip.Addr
	Link string // the device that has it
	MTU  int    // bytes, of the device
}

func (c Candidate) String() string { return fmt.Sprintf("%s (%s)", c.Addr, c.Link) }

// Candidates returns this host's global addresses, sorted, without those
// in the pool, those of the own devices, and those of bridges that lead to
// nothing but containers and virtual machines, such as Docker's other networks.
// A device that is down keeps its addresses.
func Candidates(pool netip.Prefix, own ...string) ([]Candidate, error) {
	links, err := dump(netlink.LinkList)
	if err != nil {
		return nil, fmt.Errorf("list links: %w", err)
	}
	addrs, err := dump(func() ([]netlink.Addr, error) { return netlink.AddrList(nil, netlink.FAMILY_ALL) })
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	attrs := map[int]*netlink.LinkAttrs{}
	for _, l := range links {
		if l.Attrs().Flags&net.FlagLoopback == 0 && !slices.Contains(own, l.Attrs().Name) && !leadsInward(l, links) {
			attrs[l.Attrs().Index] = l.Attrs()
		}
	}
	var all []Candidate
	for _, a := range addrs {
		l, addr := attrs[a.LinkIndex], prefix(a.IPNet).Addr()
		if l != nil && lasting(a) && a.Scope == int(netlink.SCOPE_UNIVERSE) && !addr.IsLinkLocalUnicast() && !pool.Contains(addr) {
			all = append(all, Candidate{addr, l.Name, l.MTU})
		}
	}
	slices.SortFunc(all, func(a, b Candidate) int { return cmp.Or(a.Addr.Compare(b.Addr), cmp.Compare(a.Link, b.Link)) })
	return all, nil
}

// lasting tells an address from one that IPv6 makes for privacy and gives up
// again (RFC 8981). Of IPv4 the flag has another meaning.
func lasting(a netlink.Addr) bool {
	return prefix(a.IPNet).Addr().Is4() || a.Flags&(unix.IFA_F_TEMPORARY|unix.IFA_F_DEPRECATED) == 0
}

// leadsInward tells a bridge all of whose ports, if any, are the ends of
// containers (veth) and virtual machines (tap).
func leadsInward(l netlink.Link, links []netlink.Link) bool {
	return l.Type() == "bridge" && !slices.ContainsFunc(links, func(port netlink.Link) bool {
		return port.Attrs().MasterIndex == l.Attrs().Index && port.Type() != "veth" && port.Type() != "tuntap"
	})
}
