package bridge

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"syscall"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// news is the content of a notification about one row: the row was added or changed,
// or it was removed.
type news struct {
	gone  bool       // the row was removed
	route Route      // zero unless the row is a route
	ip    netip.Addr // of a neighbour; zero otherwise
	mac   [6]byte    // of that neighbour unless gone, or of an entry of the forwarding database; zero otherwise
}

func newsOf(n Neighbour) news { return news{ip: n.IP, mac: macOf(n.MAC)} }

func macOf(mac net.HardwareAddr) (m [6]byte) {
	copy(m[:], mac)
	return m
}

// follows returns the notification that the kernel sends after it has applied a
// step. It returns false for a step that does not concern a single row.
func follows(s step) (n news, is bool) {
	switch s := s.(type) {
	case addRoute:
		return news{route: s.Route}, true
	case replaceRoute:
		return news{route: s.Route}, true
	case delRoute:
		return news{route: s.Route, gone: true}, true
	case setNeighbour:
		return newsOf(s.Neighbour), true
	case delNeighbour:
		return news{ip: s.IP, gone: true}, true
	case addFDB:
		return news{mac: macOf(s.mac)}, true
	case delFDB:
		return news{mac: macOf(s.mac), gone: true}, true
	}
	return n, false
}

func compareRoutes(a, b Route) int {
	return cmp.Or(a.Dst.Addr().Compare(b.Dst.Addr()), cmp.Compare(a.Dst.Bits(), b.Dst.Bits()), cmp.Compare(a.Metric, b.Metric),
		a.Via.Compare(b.Via), cmp.Compare(a.Link, b.Link), a.Src.Compare(b.Src), cmp.Compare(a.Protocol, b.Protocol),
		compareBools(a.Onlink, b.Onlink))
}

func compareBools(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

func compareNeighbours(a, b Neighbour) int { return a.IP.Compare(b.IP) }

func sameMAC(a, b Neighbour) bool { return bytes.Equal(a.MAC, b.MAC) }

var errShort = errors.New("a message of the kernel is too short")

// readRoute reads a route from a message of the kernel (rtnetlink(7),
// RTM_NEWROUTE). For a multipath route, it returns the device of the first next hop.
func readRoute(message []byte) (r netlink.Route, err error) {
	if len(message) < unix.SizeofRtMsg {
		return r, errShort
	}
	msg := nl.DeserializeRtMsg(message)
	attrs, err := nl.ParseRouteAttr(message[msg.Len():])
	if err != nil {
		return r, err
	}
	r.Family, r.Table, r.Type, r.Tos = int(msg.Family), int(msg.Table), int(msg.Type), int(msg.Tos)
	r.Protocol, r.Flags = netlink.RouteProtocol(msg.Protocol), int(msg.Flags)
	dst := net.IPv4zero
	for _, a := range attrs {
		switch a.Attr.Type {
		case unix.RTA_DST:
			dst = a.Value
		case unix.RTA_GATEWAY:
			r.Gw = a.Value
		case unix.RTA_PREFSRC:
			r.Src = a.Value
		case unix.RTA_OIF:
			r.LinkIndex = number(a.Value)
		case unix.RTA_PRIORITY:
			r.Priority = number(a.Value)
		case unix.RTA_MULTIPATH:
			if len(a.Value) >= unix.SizeofRtNexthop {
				r.LinkIndex = number(a.Value[4:]) // the interface index of the first next hop
			}
		}
	}
	r.Dst = &net.IPNet{IP: dst, Mask: net.CIDRMask(int(msg.Dst_len), 32)}
	return r, nil
}

// number reads a 32-bit number in native byte order; 0 if b is too short.
func number(b []byte) int {
	if len(b) < 4 {
		return 0
	}
	return int(binary.NativeEndian.Uint32(b))
}

// unicast converts a route of the main table. It returns false if the type of the
// route is not unicast. names maps the indexes of devices to their names.
func unicast(r netlink.Route, names map[int]string) (Route, bool) {
	via, _ := netip.AddrFromSlice(r.Gw)
	src, _ := netip.AddrFromSlice(r.Src)
	return Route{
		Dst:      prefix(r.Dst),
		Via:      via.Unmap(),
		Link:     names[r.LinkIndex],
		Src:      src.Unmap(),
		Onlink:   r.Flags&int(netlink.FLAG_ONLINK) != 0,
		Protocol: int(r.Protocol),
		Metric:   r.Priority,
	}, r.Type == syscall.RTN_UNICAST
}

// permanent converts a neighbour and reports whether it is permanent, so that a
// program has set it. The kernel learns and deletes all other neighbours with the
// traffic of containers. They are not drift.
func permanent(n *netlink.Neigh) (Neighbour, bool) {
	ip, ok := netip.AddrFromSlice(n.IP)
	return Neighbour{ip.Unmap(), n.HardwareAddr}, ok && n.State&netlink.NUD_PERMANENT != 0
}

// static reports whether a program has set an entry of a bridge's forwarding
// database (bridge(8): "static" is NUD_NOARP). Entries of a VLAN do not count.
func static(n *netlink.Neigh) bool { return n.State&netlink.NUD_NOARP != 0 && n.Vlan == 0 }
