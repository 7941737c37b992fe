package bridge

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/gremesh/gremesh/mesh/drift"
	"github.com/gremesh/gremesh/mesh/reconcile"
)

// protocolKernel is the protocol number of routes that the kernel adds and deletes
// together with an address (rtnetlink(7), RTPROT_KERNEL).
const protocolKernel = 2

// Change is a difference and the steps that correct it, in order.
type Change struct {
	drift.Drift
	steps []step
}

// KindAddress is the kind of object that holds all addresses of a link.
const KindAddress = "address of"

// key returns the key of an object of the kernel. Example: "link", "br0", "master".
func key(kind, name, field string) reconcile.Key {
	return reconcile.Key{Component: component, Kind: kind, Name: name, Field: field}
}

func change(key reconcile.Key, is, should string, steps ...step) Change {
	c := Change{Drift: drift.Of(key, is, should), steps: steps}
	for _, s := range steps {
		c.Commands = append(c.Commands, s.String())
	}
	return c
}

// Diff returns the changes that turn have into want, in the order in which they
// must be applied. It is pure.
//
// For a Spec without Bridge, these changes remove gremesh's own objects: routes,
// pinned neighbours and the enslavement of the port. Docker's bridge and its
// address stay, because containers use them. With Restore, the changes also restore
// the original state.
func Diff(want Spec, have State) []Change {
	if want.Bridge == "" {
		all := diffRoutes(want, have.Routes)
		all = append(all, diffNeighbours(Spec{Bridge: have.Bridge.Name}, have.Neighbours)...)
		all = append(all, release(want, have)...)
		if want.Restore != nil {
			all = append(all, restore(*want.Restore, have)...)
		}
		return all
	}
	sysctls := diffSysctls(want, have.Sysctls)
	all := diffBridge(want, have.Bridge)
	if have.Bridge.Exists {
		all = append(sysctls, all...) // arp_notify must be set before a new MAC address, or containers are not told of it
	} else {
		all = append(all, sysctls...)
	}
	all = append(all, diffAddrs(want, have.Addrs)...)
	all = append(all, diffPort(want, have.OVSPort)...)
	all = append(all, diffBlocks(want, have)...)
	for _, name := range slices.Concat(have.Orphans, lost(have.UnattachedVeths, want.Bip)) {
		all = append(all, change(key("link", name, "master"), "", want.Bridge, setMaster{name, want.Bridge}))
	}
	all = append(all, diffPeers(want, have)...)
	// Routes come last. The kernel refuses a route while the bridge is down, or
	// while another address of the bridge still provides the same route.
	return append(all, diffRoutes(want, have.Routes)...)
}

func diffBridge(want Spec, have Link) []Change {
	mac := MAC(want.Bip.Addr())
	if !have.Exists {
		// The MTU is a separate step. If the bridge were created with it, the
		// kernel would change the MTU again when ports join.
		return []Change{change(key("link", want.Bridge, ""), "",
			fmt.Sprintf("a bridge with address %s, mtu %d, up", mac, want.MTU),
			addBridge{want.Bridge, mac}, setMTU{want.Bridge, want.MTU}, setUp{want.Bridge})}
	}
	var all []Change
	if have.MAC.String() != mac.String() {
		all = append(all, change(key("link", want.Bridge, "address"), have.MAC.String(), mac.String(), setMAC{want.Bridge, mac}))
	}
	return append(all, diffLink(want.Bridge, want.MTU, have)...)
}

// diffPort returns no changes if the device does not exist, because Open vSwitch
// creates it.
func diffPort(want Spec, have Link) []Change {
	if !have.Exists {
		return nil
	}
	// The MTU comes first. A port with a smaller MTU would reduce that of the bridge.
	all := diffLink(want.OVSPort, want.MTU, have)
	if have.Master != want.Bridge {
		all = append(all, change(key("link", want.OVSPort, "master"), have.Master, want.Bridge, setMaster{want.OVSPort, want.Bridge}))
	}
	return all
}

func diffLink(name string, mtu int, have Link) []Change {
	var all []Change
	if have.MTU != mtu {
		all = append(all, change(key("link", name, "mtu"), strconv.Itoa(have.MTU), strconv.Itoa(mtu), setMTU{name, mtu}))
	}
	if !have.Up {
		all = append(all, change(key("link", name, "state"), "down", "up", setUp{name}))
	}
	return all
}

// diffAddrs replaces all addresses of the bridge whose networks overlap the pool by
// the bip. It adds the bip before it deletes the others. A device that loses its last
// address also loses all of its routes.
func diffAddrs(want Spec, have []netip.Prefix) []Change {
	missing := true
	secondary := false // the bip is, or would become, a secondary address of its network
	var is []string
	var del []step
	for _, a := range have {
		switch {
		case a == want.Bip:
			missing = false
		case want.Pool.Contains(a.Addr()):
			secondary = secondary || missing && a.Masked() == want.Bip.Masked()
			del = append(del, delAddr{want.Bridge, a})
		default:
			continue
		}
		is = append(is, a.String())
	}
	if !missing && len(del) == 0 {
		return nil
	}
	slices.Reverse(del) // the kernel deletes secondary addresses with the primary one, so delete them first

	add, steps := addAddr{want.Bridge, want.Bip}, del
	switch {
	case secondary:
		// A /32 belongs to no network, so the deletions below do not delete it.
		// Without it, the device could lose its last address meanwhile.
		place := netip.PrefixFrom(want.Bip.Addr(), 32)
		steps = []step{addAddr{want.Bridge, place}}
		if !missing {
			steps = append(steps, delAddr{want.Bridge, want.Bip})
		}
		steps = append(append(steps, del...), add, delAddr{want.Bridge, place})
	case missing:
		steps = append([]step{add}, del...)
	}
	return []Change{change(key(KindAddress, want.Bridge, ""), strings.Join(is, ", "), want.Bip.String(), steps...)}
}

// diffSysctls enables forwarding and disables ICMP redirects on the bridge.
//
// The kernel sends redirects if send_redirects of "all" or of the device is 1, so
// both are set to 0. Other devices keep their own values. arp_notify is set only
// for the bridge.
func diffSysctls(want Spec, have map[string]string) []Change {
	var all []Change
	for _, s := range []setSysctl{
		{sysctlForward, "1"},
		{sysctlForwardOf(want.Bridge), "1"},
		{sysctlRedirects("all"), "0"},
		{sysctlRedirects(want.Bridge), "0"},
		{sysctlNotify(want.Bridge), "1"},
	} {
		if is := have[s.path]; is != s.value {
			all = append(all, change(key("sysctl", s.key(), ""), is, s.value, s))
		}
	}
	return all
}

// release removes the port from Docker's bridge, unless it was there in the
// original state.
func release(want Spec, have State) []Change {
	before := want.Restore != nil && want.Restore.Original.OVSPort.Master == have.OVSPort.Master
	if have.OVSPort.Master == "" || have.OVSPort.Master != have.Bridge.Name || before {
		return nil
	}
	return []Change{change(key("link", have.OVSPort.Name, "master"), have.OVSPort.Master, "", setMaster{have.OVSPort.Name, ""})}
}
