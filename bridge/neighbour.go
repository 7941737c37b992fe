package bridge

import (
	"fmt"
	"net"
	"syscall"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Steps on the neighbour table, the forwarding database and a port's flags.
type (
	setNeighbour struct {
		link string
		Neighbour
	}
	delNeighbour struct {
		link string
		Neighbour
	}
	addFDB struct {
		port string
		mac  net.HardwareAddr
	}
	delFDB struct {
		port string
		mac  net.HardwareAddr
	}
	setFlood struct {
		port string
		Flood
	}
)

func (s setNeighbour) String() string {
	return fmt.Sprintf("ip neighbour replace %s lladdr %s dev %s nud permanent", s.IP, s.MAC, s.link)
}

func (s setNeighbour) apply(on *session) error {
	return on.link(s.link, func(l netlink.Link) error { return on.NeighSet(s.netlink(l)) })
}

func (s delNeighbour) String() string {
	return fmt.Sprintf("ip neighbour del %s dev %s", s.IP, s.link)
}

func (s delNeighbour) apply(on *session) error {
	return on.link(s.link, func(l netlink.Link) error { return on.NeighDel(s.netlink(l)) })
}

func (n Neighbour) netlink(l netlink.Link) *netlink.Neigh {
	return &netlink.Neigh{
		LinkIndex: l.Attrs().Index, Family: unix.AF_INET, State: netlink.NUD_PERMANENT,
		IP: n.IP.AsSlice(), HardwareAddr: n.MAC,
	}
}

func (s addFDB) String() string {
	return fmt.Sprintf("bridge fdb replace %s dev %s master static", s.mac, s.port)
}

func (s addFDB) apply(on *session) error {
	return on.link(s.port, func(l netlink.Link) error { return on.NeighSet(forwarding(l, s.mac)) })
}

func (s delFDB) String() string {
	return fmt.Sprintf("bridge fdb del %s dev %s master", s.mac, s.port)
}

func (s delFDB) apply(on *session) error {
	return on.link(s.port, func(l netlink.Link) error { return on.NeighDel(forwarding(l, s.mac)) })
}

// forwarding returns the static entry of the bridge's forwarding database that
// leads to port l.
func forwarding(l netlink.Link, mac net.HardwareAddr) *netlink.Neigh {
	return &netlink.Neigh{
		LinkIndex: l.Attrs().Index, Family: unix.AF_BRIDGE, Flags: netlink.NTF_MASTER,
		State: netlink.NUD_NOARP | netlink.NUD_REACHABLE, HardwareAddr: mac,
	}
}

func (s setFlood) String() string {
	return fmt.Sprintf("bridge link set dev %s %s", s.port, s.Flood)
}

func (s setFlood) apply(on *session) error {
	bit := func(on bool) byte {
		if on {
			return 1
		}
		return 0
	}
	return on.link(s.port, func(l netlink.Link) error {
		return setBridgePort(l, map[int]byte{
			nl.IFLA_BRPORT_UNICAST_FLOOD: bit(s.Unicast),
			nl.IFLA_BRPORT_MCAST_FLOOD:   bit(s.Multicast),
			nl.IFLA_BRPORT_BCAST_FLOOD:   bit(s.Broadcast),
		})
	})
}

// portFlags returns the attributes of a bridge port. It returns none if the device
// is no longer a port of a bridge.
func portFlags(port netlink.Link) ([]syscall.NetlinkRouteAttr, error) {
	messages, err := dump(func() ([][]byte, error) {
		req := nl.NewNetlinkRequest(unix.RTM_GETLINK, unix.NLM_F_DUMP)
		req.AddData(nl.NewIfInfomsg(unix.AF_BRIDGE))
		return req.Execute(unix.NETLINK_ROUTE, 0)
	})
	if err != nil {
		return nil, fmt.Errorf("list bridge ports: %w", err)
	}
	for _, m := range messages {
		msg := nl.DeserializeIfInfomsg(m)
		if int(msg.Index) != port.Attrs().Index {
			continue
		}
		flags, err := nl.ParseRouteAttr(attribute(m[msg.Len():], unix.IFLA_PROTINFO|unix.NLA_F_NESTED))
		if err != nil {
			return nil, fmt.Errorf("flags of bridge port %s: %w", port.Attrs().Name, err)
		}
		return flags, nil
	}
	return nil, nil
}

// floodOf returns the flood flags among the attributes of a bridge port.
func floodOf(flags []syscall.NetlinkRouteAttr) (f Flood) {
	for _, flag := range flags {
		on := len(flag.Value) == 1 && flag.Value[0] == 1
		switch flag.Attr.Type {
		case nl.IFLA_BRPORT_UNICAST_FLOOD:
			f.Unicast = on
		case nl.IFLA_BRPORT_MCAST_FLOOD:
			f.Multicast = on
		case nl.IFLA_BRPORT_BCAST_FLOOD:
			f.Broadcast = on
		}
	}
	return f
}
