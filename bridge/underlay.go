package bridge

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
)

// Source returns the source address of packets from this host to dst. It also returns
// the device by which they leave, and the device's MTU in bytes. If dst is an address
// of this host, it returns the device that has this address.
func Source(dst netip.Addr) (addr netip.Addr, link string, mtu int, err error) {
	routes, err := netlink.RouteGet(dst.AsSlice())
	if err != nil {
		return addr, "", 0, fmt.Errorf("route to %s: %w", dst, err)
	}
	for _, r := range routes {
		if src, ok := netip.AddrFromSlice(r.Src); ok {
			l, err := netlink.LinkByIndex(r.LinkIndex)
			if err != nil {
				return addr, "", 0, fmt.Errorf("device of the route to %s: %w", dst, err)
			}
			if l.Attrs().Flags&net.FlagLoopback != 0 && !src.IsLoopback() {
				return Resolve(src.Unmap().String())
			}
			return src.Unmap(), l.Attrs().Name, l.Attrs().MTU, nil
		}
	}
	return addr, "", 0, fmt.Errorf("route to %s: it has no source address", dst)
}

// Resolve returns the underlay address that advertise denotes, its device, and the
// device's MTU in bytes. advertise is an address of this host or the name of a device.
// A device must have exactly one global IPv4 address. A device without one must have
// exactly one stable global IPv6 address.
func Resolve(advertise string) (addr netip.Addr, link string, mtu int, err error) {
	links, err := dump(netlink.LinkList)
	if err != nil {
		return addr, "", 0, fmt.Errorf("list links: %w", err)
	}
	addrs, err := dump(func() ([]netlink.Addr, error) { return netlink.AddrList(nil, netlink.FAMILY_ALL) })
	if err != nil {
		return addr, "", 0, fmt.Errorf("list addresses: %w", err)
	}
	attrs := map[int]*netlink.LinkAttrs{}
	for _, l := range links {
		attrs[l.Attrs().Index] = l.Attrs()
	}

	ip, ipErr := netip.ParseAddr(advertise)
	byName := ipErr != nil
	found := map[netip.Addr]*netlink.LinkAttrs{}
	for _, a := range addrs {
		l, is := attrs[a.LinkIndex], prefix(a.IPNet).Addr()
		if l != nil && (is == ip || byName && lasting(a) && l.Name == advertise && a.Scope == int(netlink.SCOPE_UNIVERSE)) {
			found[is] = l
		}
	}
	preferIPv4(found)
	switch {
	case len(found) == 1:
		for is, l := range found {
			return is, l.Name, l.MTU, nil
		}
	case len(found) > 1:
		var all []string
		for is := range found {
			all = append(all, is.String())
		}
		slices.Sort(all)
		err = fmt.Errorf("device %s has several addresses, name one: %s", advertise, strings.Join(all, ", "))
	case !byName:
		err = fmt.Errorf("no device of this host has the address %s", ip)
	case !slices.ContainsFunc(links, func(l netlink.Link) bool { return l.Attrs().Name == advertise }):
		err = fmt.Errorf("%q is neither an address nor a device of this host", advertise)
	default:
		err = fmt.Errorf("device %s has no global address", advertise)
	}
	return addr, "", 0, err
}

// IsDown reports whether the device of this host that has the address is down.
// It returns false if no device has the address.
func IsDown(addr netip.Addr) (bool, error) {
	addrs, err := dump(func() ([]netlink.Addr, error) { return netlink.AddrList(nil, netlink.FAMILY_ALL) })
	if err != nil {
		return false, fmt.Errorf("list addresses: %w", err)
	}
	for _, a := range addrs {
		if prefix(a.IPNet).Addr() != addr {
			continue
		}
		l, err := netlink.LinkByIndex(a.LinkIndex)
		if err != nil {
			return false, fmt.Errorf("device of %s: %w", addr, err)
		}
		return l.Attrs().Flags&net.FlagUp == 0, nil
	}
	return false, nil
}

// preferIPv4 removes all IPv6 addresses if there are IPv4 addresses.
func preferIPv4[V any](found map[netip.Addr]V) {
	for a := range found {
		if a.Is4() {
			maps.DeleteFunc(found, func(a netip.Addr, _ V) bool { return a.Is6() })
			return
		}
	}
}

// Routes returns the destinations of this host's IPv4 traffic without default routes.
// They are the unicast routes of the main table and the networks of all addresses.
// Networks are included because they have no route while their device is down.
//
// Routes to half of all addresses (0.0.0.0/1) are omitted too, because VPNs use them
// as default routes.
func Routes() ([]Route, error) {
	links, err := dump(netlink.LinkList)
	if err != nil {
		return nil, fmt.Errorf("list links: %w", err)
	}
	names := map[int]string{}
	for _, l := range links {
		names[l.Attrs().Index] = l.Attrs().Name
	}
	routes, err := listRoutes(names)
	if err != nil {
		return nil, err
	}
	addrs, err := dump(func() ([]netlink.Addr, error) { return netlink.AddrList(nil, netlink.FAMILY_V4) })
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	for _, a := range addrs {
		routes = append(routes, Route{Dst: prefix(a.IPNet).Masked(), Link: names[a.LinkIndex]})
	}
	return slices.DeleteFunc(routes, func(r Route) bool { return r.Dst.Bits() <= 1 }), nil
}
