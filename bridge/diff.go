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

// protocolKernel marks routes that come and go with an address (rtnetlink(7),
// RTPROT_KERNEL).
const protocolKernel = 2

// Change is a difference and the steps that mend it, in order.
type Change struct {
	drift.Drift
	steps []step
}

// KindAddress is the kind of the addresses of a link, which are one object.
const KindAddress = "address of"

// key identifies an object of the kernel: "link", "br0", "master".
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

// Diff returns what makes have into want, in the order in which it must be
// applied. For a Host without Bridge that is the removal of what is ours: routes
// and the port's enslavement. Docker's bridge and its address stay, for
// containers run on it, unless Back says how they were.
func Diff(want Host, have Actual) []Change {
	if want.Bridge == "" {
		all := diffRoutes(want, have.Routes)
		all = append(all, diffNeighbours(Host{Bridge: have.Bridge.Name}, have.Neighbours)...)
		all = append(all, release(want, have)...)
		if want.Back != nil {
			all = append(all, restore(*want.Back, have)...)
		}
		return all
	}
	sysctls := diffSysctls(want, have.Sysctls)
	all := diffBridge(want, have.Bridge)
	if have.Bridge.Exists {
		all = append(sysctls, all...) // so that its containers hear of another MAC address
	} else {
		all = append(all, sysctls...)
	}
	all = append(all, diffAddrs(want, have.Addrs)...)
	all = append(all, diffPort(want, have.Port)...)
	all = append(all, diffBlocks(want, have)...)
	for _, name := range slices.Concat(have.Orphans, lost(have.Strays, want.Bip)) {
		all = append(all, change(key("link", name, "master"), "", want.Bridge, setMaster{name, want.Bridge}))
	}
	all = append(all, diffPeers(want, have)...)
	// Last, because the kernel refuses a route while the bridge is down or an
	// address of its own still brings the same one.
	return append(all, diffRoutes(want, have.Routes)...)
}

func diffBridge(want Host, have Link) []Change {
	mac := MAC(want.Bip.Addr())
	if !have.Exists {
		// The MTU is a step of its own: only a bridge whose MTU was set, not
		// one that was made with it, keeps it when ports join.
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

// diffPort is silent about a device that does not exist: Open vSwitch makes it.
func diffPort(want Host, have Link) []Change {
	if !have.Exists {
		return nil
	}
	// The MTU first: a port with a smaller one would pull the bridge's down.
	all := diffLink(want.Port, want.MTU, have)
	if have.Master != want.Bridge {
		all = append(all, change(key("link", want.Port, "master"), have.Master, want.Bridge, setMaster{want.Port, want.Bridge}))
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

// diffAddrs puts the bip in the place of whatever else lies in the pool. The
// bip is added before others go: with its last address a device loses all of
// its routes.
func diffAddrs(want Host, have []netip.Prefix) []Change {
	missing := true
	secondary := false // the bip is, or would be, its network's second address
	var is []string
	var del []step
	for _, a := range have {
		switch {
		case a == want.Bip:
			missing = false
		case a.Overlaps(want.Pool):
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
	slices.Reverse(del) // a network's second address goes with the first

	add, steps := addAddr{want.Bridge, want.Bip}, del
	switch {
	case secondary:
		// As a /32 the bip is of no network, and holds the place meanwhile.
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

// diffSysctls turns redirects off where the kernel looks for them: it takes
// the OR of "all" and the device's own, so the other devices keep theirs.
// arp_notify is docker0's alone.
func diffSysctls(want Host, have map[string]string) []Change {
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

// release takes the port out of Docker's bridge, unless it was there before.
func release(want Host, have Actual) []Change {
	before := want.Back != nil && want.Back.Former.Port.Master == have.Port.Master
	if have.Port.Master == "" || have.Port.Master != have.Bridge.Name || before {
		return nil
	}
	return []Change{change(key("link", have.Port.Name, "master"), have.Port.Master, "", setMaster{have.Port.Name, ""})}
}
