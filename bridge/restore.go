package bridge

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// RestoreSpec describes the original state. Diff restores it when it removes
// everything that gremesh owns.
type RestoreSpec struct {
	Original Original     // the original state
	Pool     netip.Prefix // the mesh's pool, which contains gremesh's addresses
	// KeepBridge leaves Docker's bridge unchanged: its address, MAC and MTU.
	KeepBridge bool
	// Docker means that a dockerd runs. It needs its bridge and IP forwarding. Diff
	// then neither deletes the bridge nor disables forwarding.
	Docker bool
}

// restore returns the changes that restore the original state wherever gremesh has
// changed it.
func restore(want RestoreSpec, have State) []Change {
	f := want.Original
	var all []Change
	if name := have.Bridge.Name; have.Bridge.Exists && !want.KeepBridge {
		switch {
		case f.Bridge.Exists:
			all = append(all, restoreBridge(want, have)...)
		case len(have.Attached) == 0 && !want.Docker:
			all = append(all, change(key("link", name, ""), "a bridge that gremesh made", "", delBridge{name}))
		}
	}
	all = append(all, restorePort(f.OVSPort, have)...)
	all = append(all, restoreSysctls(want, have)...)
	if f.Bridge.Exists && have.Bridge.Exists {
		for _, r := range f.Routes {
			if !slices.Contains(have.Routes, r) {
				all = append(all, change(key("route", r.Dst.String(), ""), "", r.String(), addRoute{r}))
			}
		}
	}
	return all
}

// restoreBridge returns the changes that restore Docker's bridge and its addresses.
func restoreBridge(want RestoreSpec, have State) []Change {
	f, name := want.Original, have.Bridge.Name
	var all []Change
	if mac, err := net.ParseMAC(f.Bridge.MAC); err == nil && have.Bridge.MAC.String() != mac.String() && pinnedMAC(have.Bridge.MAC, want.Pool) {
		all = append(all, change(key("link", name, "address"), have.Bridge.MAC.String(), mac.String(), setMAC{name, mac}))
	}
	all = append(all, restoreMTU(name, f.Bridge, have.Bridge)...)
	all = append(all, restoreAddrs(want, have)...)
	all = append(all, restoreLinkLocal(want, have)...)
	return append(all, restoreState(name, f.Bridge, have.Bridge)...)
}

// restoreAddrs replaces addresses of Docker's bridge whose networks overlap the pool
// by the original addresses.
func restoreAddrs(want RestoreSpec, have State) []Change {
	name, former := have.Bridge.Name, want.Original.Addrs
	var is, should []string
	var add, del []step
	first := false // delete old addresses before adding the original ones
	for _, a := range have.Addrs {
		if want.Pool.Contains(a.Addr()) && !slices.Contains(former, a) {
			del, is = append(del, delAddr{name, a}), append(is, a.String())
			// Otherwise the original address would become a secondary one of the
			// same network. The kernel would delete it with the old address.
			first = first || slices.ContainsFunc(former, func(f netip.Prefix) bool { return f.Masked() == a.Masked() })
		}
	}
	for _, a := range former {
		if !slices.Contains(have.Addrs, a) {
			add, should = append(add, addAddr{name, a}), append(should, a.String())
		}
	}
	if len(add)+len(del) == 0 {
		return nil
	}
	steps := append(slices.Clone(add), del...)
	if first {
		steps = append(slices.Clone(del), add...)
	}
	return []Change{change(key(KindAddress, name, ""), strings.Join(is, ", "), strings.Join(should, ", "), steps...)}
}

// restoreLinkLocal removes the IPv6 link-local address that the kernel derived from
// a pinned MAC address. If it is the bridge's only IPv6 address, IPv6 is disabled
// and enabled again on the bridge. Without this, the kernel would consider IPv6 set
// up. It would derive no address from the original MAC when the next container
// starts.
func restoreLinkLocal(want RestoreSpec, have State) []Change {
	name := have.Bridge.Name
	for _, a := range have.Addrs6 {
		switch {
		case !pinned(a.Addr(), want.Pool) || slices.Contains(want.Original.Addrs6, a):
		case len(have.Addrs6) == 1:
			path := sysctlNoIPv6(name)
			return []Change{change(key(KindAddress, name, ""), a.String(), "", setSysctl{path, "1"}, setSysctl{path, "0"})}
		default:
			return []Change{change(key(KindAddress, name, ""), a.String(), "", delAddr{name, a})}
		}
	}
	return nil
}

// pinnedMAC reports whether a MAC address is derived by MAC from an address of the
// pool.
func pinnedMAC(mac net.HardwareAddr, pool netip.Prefix) bool {
	return len(mac) == 6 && mac[0] == 0x02 && mac[1] == 0x42 && pool.Contains(netip.AddrFrom4([4]byte(mac[2:])))
}

// pinned reports whether an IPv6 link-local address is derived from such a MAC
// address, as an EUI-64 (RFC 4291, appendix A).
func pinned(a netip.Addr, pool netip.Prefix) bool {
	b := a.As16()
	return a.IsLinkLocalUnicast() && b[11] == 0xff && b[12] == 0xfe &&
		pinnedMAC(net.HardwareAddr{b[8] ^ 0x02, b[9], b[10], b[13], b[14], b[15]}, pool)
}

// restorePort returns the changes that restore the port if it existed in the
// original state. Otherwise the port is deleted together with its OVS bridge.
func restorePort(former OriginalLink, have State) []Change {
	if !former.Exists || !have.OVSPort.Exists {
		return nil
	}
	all := restoreMTU(have.OVSPort.Name, former, have.OVSPort)
	if have.OVSPort.Master == "" && former.Master != "" {
		all = append(all, change(key("link", have.OVSPort.Name, "master"), "", former.Master, setMaster{have.OVSPort.Name, former.Master}))
	}
	return append(all, restoreState(have.OVSPort.Name, former, have.OVSPort)...)
}

func restoreMTU(name string, former OriginalLink, have Link) []Change {
	if have.MTU == former.MTU {
		return nil
	}
	return []Change{change(key("link", name, "mtu"), strconv.Itoa(have.MTU), strconv.Itoa(former.MTU), setMTU{name, former.MTU})}
}

// restoreState takes a device down if it was down in the original state.
func restoreState(name string, former OriginalLink, have Link) []Change {
	if former.Up || !have.Up {
		return nil
	}
	return []Change{change(key("link", name, "state"), "up", "down", setDown{name})}
}

// restoreSysctls returns the changes that restore sysctls. It leaves IP forwarding
// unchanged while a dockerd runs.
func restoreSysctls(want RestoreSpec, have State) []Change {
	var all []Change
	for _, path := range slices.Sorted(maps.Keys(want.Original.Sysctls)) {
		was := want.Original.Sysctls[path]
		is, exists := have.Sysctls[path]
		if was == "" || !exists || is == was || want.Docker && (path == sysctlForward || path == sysctlForwardOf(have.Bridge.Name)) {
			continue
		}
		s := setSysctl{path, was}
		all = append(all, change(key("sysctl", s.key(), ""), is, was, s))
	}
	return all
}

// Stays returns the parts of the original state that Diff does not restore, with the
// reasons. It applies to a Spec without Bridge.
func Stays(want Spec, have State) []string {
	if want.Restore == nil || want.Restore.KeepBridge {
		return nil
	}
	var all []string
	if have.Bridge.Exists && !want.Restore.Original.Bridge.Exists {
		switch {
		case len(have.Attached) > 0:
			all = append(all, fmt.Sprintf("%s, which gremesh made, stays: %s are attached to it", have.Bridge.Name, strings.Join(have.Attached, ", ")))
		case want.Restore.Docker:
			all = append(all, fmt.Sprintf("%s, which gremesh made, stays with its address: dockerd uses it", have.Bridge.Name))
		}
	}
	if want.Restore.Docker && want.Restore.Original.Sysctls[sysctlForward] == "0" {
		all = append(all, "net.ipv4.ip_forward stays 1: dockerd needs it")
	}
	return all
}
