package bridge

import (
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
)

// Subnet returns the network of an address of this host. It returns an error if no
// device has the address.
func Subnet(addr netip.Addr) (netip.Prefix, error) {
	addrs, err := dump(func() ([]netlink.Addr, error) { return netlink.AddrList(nil, netlink.FAMILY_ALL) })
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("list addresses: %w", err)
	}
	for _, a := range addrs {
		if p := prefix(a.IPNet); p.Addr() == addr {
			return p.Masked(), nil
		}
	}
	return netip.Prefix{}, fmt.Errorf("no device of this host has the address %s", addr)
}
