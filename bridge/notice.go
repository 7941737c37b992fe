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

// news is what a notice says of a row: that it is there now, or is gone.
type news struct {
	gone  bool
	route Route      // or
	ip    netip.Addr // of a neighbour, or
	mac   [6]byte    // of that neighbour, or of an entry of the forwarding database
}

func newsOf(n Neighbour) news { return news{ip: n.IP, mac: macOf(n.MAC)} }

func macOf(mac net.HardwareAddr) (m [6]byte) {
	copy(m[:], mac)
	return m
}

// follows is what the kernel says when a step was carried out, where it is about
// one row.
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

// readRoute reads a route from what the kernel says (rtnetlink(7), RTM_NEWROUTE),
// with the index of its device.
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
				r.LinkIndex = number(a.Value[4:]) // of the first
			}
		}
	}
	r.Dst = &net.IPNet{IP: dst, Mask: net.CIDRMask(int(msg.Dst_len), 32)}
	return r, nil
}

func number(b []byte) int {
	if len(b) < 4 {
		return 0
	}
	return int(binary.NativeEndian.Uint32(b))
}

// unicast is a unicast IPv4 route of the main table; of all others it is not ok.
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

// permanent tells a neighbour that somebody has set from those that the kernel
// finds, and forgets, with the traffic of the containers: those are nobody's drift.
func permanent(n *netlink.Neigh) (Neighbour, bool) {
	ip, ok := netip.AddrFromSlice(n.IP)
	return Neighbour{ip.Unmap(), n.HardwareAddr}, ok && n.State&netlink.NUD_PERMANENT != 0
}

// static tells the same of an entry of a bridge's forwarding database (bridge(8):
// "static" is NUD_NOARP).
func static(n *netlink.Neigh) bool { return n.State&netlink.NUD_NOARP != 0 && n.Vlan == 0 }
