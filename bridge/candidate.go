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

// Candidate is an address by which peers may reach this host.
type Candidate struct {
	Addr netip.Addr
	Link string // the device that has the address
	MTU  int    // bytes, of Link
}

func (c Candidate) String() string { return fmt.Sprintf("%s (%s)", c.Addr, c.Link) }

// Candidates returns the global addresses by which peers may reach this host, sorted
// by address and device. It omits addresses in the pool and addresses of the devices
// in own. It also omits addresses of bridges that lead only to containers and
// virtual machines, such as Docker's other networks. Addresses of a device that is
// down are included.
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

// lasting reports whether an address is stable. Temporary and deprecated IPv6
// addresses are not: IPv6 creates them for privacy and deletes them again (RFC
// 8981). Every IPv4 address is stable. The flag has another meaning for IPv4.
func lasting(a netlink.Addr) bool {
	return prefix(a.IPNet).Addr().Is4() || a.Flags&(unix.IFA_F_TEMPORARY|unix.IFA_F_DEPRECATED) == 0
}

// leadsInward reports whether a device is a bridge that leads only to containers
// and virtual machines: all of its ports are veth or tap devices. A bridge without
// ports qualifies too.
func leadsInward(l netlink.Link, links []netlink.Link) bool {
	return l.Type() == "bridge" && !slices.ContainsFunc(links, func(port netlink.Link) bool {
		return port.Attrs().MasterIndex == l.Attrs().Index && port.Type() != "veth" && port.Type() != "tuntap"
	})
}
