package testenv

import (
	"context"
	"fmt"
	"net/netip"
	"os/exec"
	"slices"
)

// Names of the namespaces beyond the hosts' own subnets.
const (
	routerName  = "router"
	outsideName = "outside"
)

// outsideNet is a network for documentation (RFC 5737). The outside host has
// its address 1, and no host of the lab has an address in it.
var outsideNet = netip.MustParsePrefix("198.51.100.0/24")

// routerAddr returns the router's address in a subnet.
func routerAddr(subnet netip.Prefix) netip.Addr { return addrAt(subnet, 254) }

// hasRouter reports whether the lab has a router. The hosts then have a default
// route.
func (l *Lab) hasRouter() bool { return len(l.cfg.Subnets) > 1 || l.cfg.Outside }

// routerDev returns the name of the router's device in underlay subnet i.
func routerDev(i int) string { return fmt.Sprintf("net%d", i+1) }

// routerMAC returns the MAC address of the router's device in underlay subnet
// i.
func routerMAC(i int) string { return fmt.Sprintf("02:00:00:00:fe:%02x", i) }

// makeRouter creates the router. It has a device in each subnet's switch, and
// one to the outside host if there is one. The router knows only the underlay
// and not the pool. Therefore answers to a container's own address do not find
// their way back.
func (l *Lab) makeRouter(ctx context.Context) error {
	if !l.hasRouter() {
		return nil
	}
	router := l.Name + "-" + routerName
	spaces := []string{"netns add " + router}
	var plugs []string
	inside := []string{"link set lo up"}
	for i, subnet := range l.cfg.Subnets {
		dev := routerDev(i)
		plugs = append(plugs, l.plug(fmt.Sprintf("router%d", i+1), switchDev(i), dev, router)...)
		inside = append(inside,
			fmt.Sprintf("address add %s/%d dev %s%s", routerAddr(subnet), subnet.Bits(), dev, atOnce(subnet)),
			fmt.Sprintf("link set %s address %s up", dev, routerMAC(i)))
	}
	var beyond []string
	if l.cfg.Outside {
		outside := l.Name + "-" + outsideName
		spaces = append(spaces, "netns add "+outside)
		inside = append(inside,
			fmt.Sprintf("link add %s mtu %d type veth peer name eth0 mtu %d netns %s", outsideName, l.cfg.MTU, l.cfg.MTU, outside),
			fmt.Sprintf("address add %s/%d dev %s", routerAddr(outsideNet), outsideNet.Bits(), outsideName),
			"link set "+outsideName+" up")
		beyond = []string{
			"link set lo up",
			fmt.Sprintf("address add %s/%d dev eth0", addrAt(outsideNet, 1), outsideNet.Bits()),
			"link set eth0 up",
			fmt.Sprintf("route add default via %s", routerAddr(outsideNet)),
		}
	}
	if err := l.ip(ctx, "", spaces...); err != nil {
		return err
	}
	if err := l.ip(ctx, switchName, plugs...); err != nil {
		return err
	}
	if err := l.ip(ctx, routerName, inside...); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "nsenter", "--net="+netnsPath(l.Name, routerName), "sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
	if _, err := output(cmd); err != nil {
		return fmt.Errorf("have the router forward: %w", err)
	}
	if len(beyond) == 0 {
		return nil
	}
	return l.ip(ctx, outsideName, beyond...)
}

// RouterMTU limits the packets that the router sends into a subnet of the
// underlay, in bytes. 0 restores the lab's MTU. If a longer packet must not be
// fragmented, the router informs the sender (ICMP type 3, code 4, RFC 1191).
// Packets that the subnet's hosts send are not limited.
func (l *Lab) RouterMTU(ctx context.Context, subnet netip.Prefix, bytes int) error {
	i := slices.Index(l.cfg.Subnets, subnet)
	if i < 0 || !l.hasRouter() {
		return fmt.Errorf("limit the router's MTU to %s: it is not there", subnet)
	}
	// The limit is on the route and not on the device. A smaller MTU of the
	// device would silently drop long packets that arrive at it.
	route := fmt.Sprintf("route replace %s dev %s proto kernel scope link src %s", subnet, routerDev(i), routerAddr(subnet))
	if subnet.Addr().Is6() {
		route = fmt.Sprintf("route replace %s dev %s proto kernel metric 256", subnet, routerDev(i))
	}
	if bytes != 0 {
		route += fmt.Sprintf(" mtu lock %d", bytes)
	}
	return l.ip(ctx, routerName, route)
}

// RouteOutside gives the outside host one more address, and adds a route to it
// on the router.
func (l *Lab) RouteOutside(ctx context.Context, addr netip.Addr) error {
	if err := l.ip(ctx, outsideName, fmt.Sprintf("address replace %s/32 dev lo", addr)); err != nil {
		return err
	}
	return l.ip(ctx, routerName, fmt.Sprintf("route replace %s/32 via %s", addr, addrAt(outsideNet, 1)))
}
