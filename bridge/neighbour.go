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

func forwarding(l netlink.Link, mac net.HardwareAddr) *netlink.Neigh {
	return &netlink.Neigh{
		LinkIndex: l.Attrs().Index, Family: unix.AF_BRIDGE, Flags: netlink.NTF_MASTER,
		State: netlink.NUD_NOARP | netlink.NUD_REACHABLE, HardwareAddr: mac,
	}
}

func (s setFlood) String() string {
	return fmt.Sprintf("bridge link set dev %s %s", s.port, s.Flood)
}

// apply speaks netlink itself: the library knows no flags but that of unicast.
func (s setFlood) apply(on *session) error {
	return on.link(s.port, func(l netlink.Link) error {
		req := nl.NewNetlinkRequest(unix.RTM_SETLINK, unix.NLM_F_ACK)
		msg := nl.NewIfInfomsg(unix.AF_BRIDGE)
		msg.Index = int32(l.Attrs().Index)
		req.AddData(msg)
		port := nl.NewRtAttr(unix.IFLA_PROTINFO|unix.NLA_F_NESTED, nil)
		for kind, on := range map[int]bool{
			nl.IFLA_BRPORT_UNICAST_FLOOD: s.Unicast,
			nl.IFLA_BRPORT_MCAST_FLOOD:   s.Multicast,
			nl.IFLA_BRPORT_BCAST_FLOOD:   s.Broadcast,
		} {
			value := []byte{0}
			if on {
				value[0] = 1
			}
			port.AddRtAttr(kind, value)
		}
		req.AddData(port)
		_, err := req.Execute(unix.NETLINK_ROUTE, 0)
		return err
	})
}

// flood reads the flags of a bridge port.
func flood(port netlink.Link) (Flood, error) {
	messages, err := dump(func() ([][]byte, error) {
		req := nl.NewNetlinkRequest(unix.RTM_GETLINK, unix.NLM_F_DUMP)
		req.AddData(nl.NewIfInfomsg(unix.AF_BRIDGE))
		return req.Execute(unix.NETLINK_ROUTE, 0)
	})
	if err != nil {
		return Flood{}, fmt.Errorf("list bridge ports: %w", err)
	}
	for _, m := range messages {
		msg := nl.DeserializeIfInfomsg(m)
		if int(msg.Index) != port.Attrs().Index {
			continue
		}
		flags, err := nl.ParseRouteAttr(attribute(m[msg.Len():], unix.IFLA_PROTINFO|unix.NLA_F_NESTED))
		if err != nil {
			return Flood{}, fmt.Errorf("flags of bridge port %s: %w", port.Attrs().Name, err)
		}
		return floodOf(flags), nil
	}
	return Flood{}, nil // it has left the bridge meanwhile
}

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
