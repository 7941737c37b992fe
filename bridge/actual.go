package bridge

import (
	"fmt"
	"net"
	"net/netip"
)

// State is the observed state of those kernel objects that gremesh needs. Its slices
// are shared with the Kernel's cache. Do not modify them.
type State struct {
	Bridge  Link // Docker's bridge
	OVSPort Link // the OVS bridge's own device
	// ForeignKind is the kind (ip-link(8)) of a device that has the name of OVSPort
	// but does not belong to Open vSwitch. OVSPort does not exist then. Empty: there
	// is no such device.
	ForeignKind string
	// Orphans are devices that were ports of a Bridge that was deleted, and that
	// have no master now.
	Orphans []string
	// UnattachedVeths are containers' devices without a master. Before this Kernel
	// observed for the first time, they may have been ports of a Bridge that was
	// deleted.
	UnattachedVeths []Stray
	// Attached are the devices enslaved to Bridge other than OVSPort, in the
	// kernel's order. They are usually the host ends of containers' veth pairs.
	Attached   []string
	Addrs      []netip.Prefix     // IPv4 addresses of Bridge, in the kernel's order
	Addrs6     []netip.Prefix     // IPv6 addresses of Bridge
	Routes     []Route            // unicast IPv4 routes of the main table that are on Bridge or have RouteProtocol
	Intruders  []Route            // other programs' routes inside Config.Pool in the main table, on other devices, of any Kind
	Neighbours []Neighbour        // permanent IPv4 neighbours of Bridge
	FDB        []net.HardwareAddr // static entries of Bridge's forwarding database that lead to OVSPort
	Flood      Flood              // of OVSPort; zero while OVSPort is not in Bridge
	PortBlocks PortBlocks         // of OVSPort; zero while OVSPort is not in Bridge
	// Switches are the settings of Bridge whose current values can stop packets.
	Switches []Switch
	// Unforwarding are the NICs whose own forwarding sysctl is 0.
	Unforwarding []string
	// Sysctls holds the values of the sysctls that gremesh sets, by path under
	// /proc/sys. The paths of a device that does not exist are missing.
	Sysctls map[string]string
	// StrictRPFilter are the devices with strict reverse path filtering, sorted.
	// The kernel drops a packet that arrives on such a device if the answer would
	// leave by another device. A device is strict if the larger of its own
	// rp_filter and that of "all" is 1 (ip-sysctl.rst).
	StrictRPFilter []string
	Gretaps        []Gretap // other programs' gretap devices
	Tunnels        []Tunnel // tunnel devices that are up and do not belong to Open vSwitch
	NICs           []string // devices that lead to a network outside this host
}

// Link is a network device, ip-link(8).
type Link struct {
	Name   string
	Exists bool
	Index  int // interface index; it changes when the device is created again
	MAC    net.HardwareAddr
	MTU    int // bytes
	Up     bool
	Master string // the bridge that the device is enslaved to; empty: none
}

// Route is an IPv4 route of the main table, ip-route(8).
type Route struct {
	Dst      netip.Prefix
	Via      netip.Addr // zero: directly on Link
	Link     string     // the device; empty if Kind is set
	Src      netip.Addr // source address of packets that this host itself sends; zero: the kernel chooses
	Onlink   bool       // Via is reachable on Link although no address of Link covers it
	Protocol int        // rtnetlink(7), rtm_protocol
	Metric   int
	Kind     string // such as "blackhole"; empty: unicast
}

// String returns the route in the syntax of ip-route(8).
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
