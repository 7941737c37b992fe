package bridge

import (
	"fmt"
	"net"
	"net/netip"
)

// Actual is what the kernel has, as far as a Host is concerned with it.
type Actual struct {
	Bridge Link // Docker's bridge
	Port   Link // the OVS bridge's own device
	// Stranger is the kind, ip-link(8), of a device that has the name of Port and
	// is not Open vSwitch's; empty: there is none. Port does not exist then.
	Stranger string
	// Orphans were ports of a Bridge that was deleted, and are nobody's now.
	Orphans []string
	// Strays may have been, before this Kernel looked for the first time.
	Strays []Stray
	// Attached are the other devices enslaved to Bridge: containers' ends, in
	// the kernel's order.
	Attached   []string
	Addrs      []netip.Prefix     // IPv4 addresses of Bridge, in the kernel's order
	Addrs6     []netip.Prefix     // IPv6 addresses of Bridge
	Routes     []Route            // unicast IPv4 routes of the main table: on Bridge, or of RouteProtocol on any device
	Intruders  []Route            // of the main table inside Config.Pool, by other programs and devices, of any Kind
	Neighbours []Neighbour        // permanent IPv4 ones of Bridge
	FDB        []net.HardwareAddr // static entries of Bridge's forwarding database that lead to Port
	Flood      Flood              // of Port
	PortBlocks PortBlocks         // of Port
	// Switches are settings of Bridge that can stop packets.
	Switches []Switch
	// Unforwarding are the NICs whose own forwarding switch is off.
	Unforwarding []string
	// Sysctls are the values of ours by path under /proc/sys; a key of a
	// device that does not exist is missing.
	Sysctls map[string]string
	// Strict are the devices by which no packet comes in whose answer would
	// take another way: the greater of their own rp_filter and that of all
	// devices is 1 (ip-sysctl.rst).
	Strict  []string
	Gretaps []Gretap // somebody else's
	Tunnels []Tunnel // all tunnel devices that are not Open vSwitch's
	NICs    []string // devices that lead to a network outside of this host
}

// Link is a network device, ip-link(8).
type Link struct {
	Name   string
	Exists bool
	Index  int // another one: the device was made anew
	MAC    net.HardwareAddr
	MTU    int // bytes
	Up     bool
	Master string // the bridge it is enslaved to; empty: none
}

// Route is an IPv4 route of the main table, ip-route(8).
type Route struct {
	Dst      netip.Prefix
	Via      netip.Addr // zero: directly on Link
	Link     string
	Src      netip.Addr // of what this host itself sends; zero: the kernel chooses
	Onlink   bool       // Via is reached on Link although no address there says so
	Protocol int        // rtnetlink(7), rtm_protocol
	Metric   int
	Kind     string // such as "blackhole"; empty: unicast
}

// String is the route in the words of ip-route(8).
func (r Route) String() string {
	s := r.Dst.String()
	if r.Kind != "" {
		s = r.Kind + " " + s
	}
	if r.Via.IsValid() {
		s += " via " + r.Via.String()
	}
	if r.Link != "" {
		s += " dev " + r.Link
	}
	if r.Onlink {
		s += " onlink"
	}
	if r.Src.IsValid() {
		s += " src " + r.Src.String()
	}
	if r.Protocol != 0 {
		s += fmt.Sprintf(" proto %d", r.Protocol)
	}
	if r.Metric != 0 {
		s += fmt.Sprintf(" metric %d", r.Metric)
	}
	return s
}
