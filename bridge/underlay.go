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

// Source returns the address that this host sends from to reach dst, and the
// device that it leaves by with its MTU in bytes. Where dst is this host itself,
// it is the device that has the address.
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

// Resolve returns the underlay address that advertise stands for, its device
// and the device's MTU in bytes. It is either an address of this host or the
// name of a device with exactly one global IPv4 address, or with none of those
// and exactly one of IPv6.
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
// It is no error that none has it.
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

// preferIPv4 leaves out IPv6 addresses, if there are others.
func preferIPv4[V any](found map[netip.Addr]V) {
	for a := range found {
		if a.Is4() {
			maps.DeleteFunc(found, func(a netip.Addr, _ V) bool { return a.Is6() })
			return
		}
	}
}

// Routes returns where this host's IPv4 traffic goes but for default routes:
// the unicast routes of the main table and the networks of all addresses,
// which have no route while their device is down. A half of all addresses
// (0.0.0.0/1) is a VPN's way to write a default route, and left out too.
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
