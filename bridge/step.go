package bridge

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/vishvananda/netlink"
)

// step is one action on the kernel. String returns a command line with the same
// effect.
type step interface {
	fmt.Stringer
	apply(on *session) error
}

type (
	addBridge struct {
		name string
		mac  net.HardwareAddr
	}
	setMAC struct {
		name string
		mac  net.HardwareAddr
	}
	setMTU struct {
		name string
		mtu  int // bytes
	}
	setUp     struct{ name string }
	setDown   struct{ name string }
	delBridge struct{ name string }
	setMaster struct{ name, master string } // empty master: none
	addAddr   struct {
		name string
		addr netip.Prefix
	}
	delAddr struct {
		name string
		addr netip.Prefix
	}
	addRoute     struct{ Route }
	replaceRoute struct{ Route }
	delRoute     struct{ Route }
	setSysctl    struct{ path, value string } // path under /proc/sys
)

func (s addBridge) String() string {
	return fmt.Sprintf("ip link add %s address %s type bridge", s.name, s.mac)
}

func (s addBridge) apply(on *session) error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.HardwareAddr = s.name, s.mac
	return on.LinkAdd(&netlink.Bridge{LinkAttrs: attrs})
}

func (s setMAC) String() string { return fmt.Sprintf("ip link set dev %s address %s", s.name, s.mac) }

func (s setMAC) apply(on *session) error {
	return on.link(s.name, func(l netlink.Link) error { return on.LinkSetHardwareAddr(l, s.mac) })
}

func (s setMTU) String() string { return fmt.Sprintf("ip link set dev %s mtu %d", s.name, s.mtu) }

func (s setMTU) apply(on *session) error {
	return on.link(s.name, func(l netlink.Link) error { return on.LinkSetMTU(l, s.mtu) })
}

func (s setUp) String() string { return fmt.Sprintf("ip link set dev %s up", s.name) }

func (s setUp) apply(on *session) error { return on.link(s.name, on.LinkSetUp) }

func (s setDown) String() string { return fmt.Sprintf("ip link set dev %s down", s.name) }

func (s setDown) apply(on *session) error { return on.link(s.name, on.LinkSetDown) }

func (s delBridge) String() string { return fmt.Sprintf("ip link del dev %s", s.name) }

func (s delBridge) apply(on *session) error { return on.link(s.name, on.LinkDel) }

func (s setMaster) String() string {
	if s.master == "" {
		return fmt.Sprintf("ip link set dev %s nomaster", s.name)
	}
	return fmt.Sprintf("ip link set dev %s master %s", s.name, s.master)
}

func (s setMaster) apply(on *session) error {
	return on.link(s.name, func(l netlink.Link) error {
		if s.master == "" {
			return on.LinkSetNoMaster(l)
		}
		return on.link(s.master, func(m netlink.Link) error { return on.LinkSetMaster(l, m) })
	})
}

func (s addAddr) String() string {
	return fmt.Sprintf("ip address add %s broadcast + dev %s", s.addr, s.name)
}

func (s addAddr) apply(on *session) error {
	return on.link(s.name, func(l netlink.Link) error {
		return on.AddrAdd(l, &netlink.Addr{IPNet: ipNet(s.addr)})
	})
}

func (s delAddr) String() string { return fmt.Sprintf("ip address del %s dev %s", s.addr, s.name) }

func (s delAddr) apply(on *session) error {
	return on.link(s.name, func(l netlink.Link) error {
		return on.AddrDel(l, &netlink.Addr{IPNet: ipNet(s.addr)})
	})
}

func (s addRoute) String() string { return "ip route add " + s.Route.String() + s.scope() }

func (s addRoute) apply(on *session) error {
	err := on.link(s.Link, func(l netlink.Link) error { return on.RouteAdd(s.netlink(l)) })
	if errors.Is(err, syscall.EEXIST) {
		return fmt.Errorf("%w: another route to it is in the way, see: ip route show %s", err, s.Dst)
	}
	return err
}

func (s replaceRoute) String() string { return "ip route replace " + s.Route.String() + s.scope() }

func (s replaceRoute) apply(on *session) error {
	return on.link(s.Link, func(l netlink.Link) error { return on.RouteReplace(s.netlink(l)) })
}

func (s delRoute) String() string { return "ip route del " + s.Route.String() }

func (s delRoute) apply(on *session) error {
	return on.link(s.Link, func(l netlink.Link) error { return on.RouteDel(s.anyScope(l)) })
}

// scope returns the scope argument of ip-route(8). It is empty for a route with a
// gateway.
func (r Route) scope() string {
	if r.Via.IsValid() {
		return ""
	}
	return " scope link"
}

// anyScope returns a route that matches routes of any scope in a deletion.
func (r Route) anyScope(l netlink.Link) *netlink.Route {
	out := r.netlink(l)
	out.Scope = netlink.SCOPE_NOWHERE
	return out
}

func (r Route) netlink(l netlink.Link) *netlink.Route {
	out := &netlink.Route{
		Dst:       ipNet(r.Dst),
		LinkIndex: l.Attrs().Index,
		Protocol:  netlink.RouteProtocol(r.Protocol),
		Priority:  r.Metric,
		Scope:     netlink.SCOPE_LINK,
	}
	if r.Via.IsValid() {
		out.Gw, out.Scope = r.Via.AsSlice(), netlink.SCOPE_UNIVERSE
	}
	if r.Src.IsValid() {
		out.Src = r.Src.AsSlice()
	}
	if r.Onlink {
		out.SetFlag(netlink.FLAG_ONLINK)
	}
	return out
}

// sysctlForward is the path of IP forwarding for all devices. A write to it sets
// forwarding of every device (ip-sysctl.rst, ip_forward).
const sysctlForward = "net/ipv4/ip_forward"

// sysctlForwardOf returns the path of forwarding for packets that arrive on a device
// (ip-sysctl.rst, forwarding).
func sysctlForwardOf(link string) string { return "net/ipv4/conf/" + link + "/forwarding" }

func sysctlNoIPv6(link string) string { return "net/ipv6/conf/" + link + "/disable_ipv6" }

// sysctlNotify returns the path of arp_notify. It makes the kernel announce a new MAC
// address of the device to its neighbours at once (ip-sysctl.rst, arp_notify).
// Without it, containers would send to the old address for half a minute.
func sysctlNotify(link string) string { return "net/ipv4/conf/" + link + "/arp_notify" }

func sysctlRedirects(link string) string { return "net/ipv4/conf/" + link + "/send_redirects" }

// sysctlPaths returns the paths of all sysctls that gremesh sets on a host with this
// bridge.
func sysctlPaths(bridge string) []string {
	return []string{sysctlForward, sysctlForwardOf(bridge), sysctlRedirects("all"), sysctlRedirects(bridge), sysctlNotify(bridge)}
}

// key returns the name of the variable in sysctl(8), in which dots and slashes are
// swapped.
func (s setSysctl) key() string { return strings.NewReplacer("/", ".", ".", "/").Replace(s.path) }

func (s setSysctl) String() string { return fmt.Sprintf("sysctl -w %s=%s", s.key(), s.value) }

func (s setSysctl) apply(*session) error {
	return os.WriteFile(filepath.Join("/proc/sys", s.path), []byte(s.value), 0o644)
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
