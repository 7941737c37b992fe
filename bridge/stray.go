package bridge

import (
	"net/netip"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Stray is the host end of a container's veth that is not a port of any bridge.
type Stray struct {
	Name string
	Addr netip.Prefix // IPv4 address of the end in the container
}

// strays returns containers' veth ends without a master, as long as no veth was seen
// in Docker's bridge. The bridge may have been deleted before this Kernel could
// observe its ports.
//
// Once a veth was seen in the bridge, strays returns none. A veth without a master
// was then detached by another program.
func (m *litter) strays(links []netlink.Link) []Stray {
	m.mu.Lock()
	known := m.used
	m.mu.Unlock()
	if known {
		return nil
	}
	var found []Stray
	for _, l := range links {
		a := l.Attrs()
		// dockerd gives the ports of its bridges names with this prefix.
		if l.Type() != "veth" || !strings.HasPrefix(a.Name, "veth") || a.MasterIndex != 0 || a.NetNsID < 0 {
			continue
		}
		addr, err := addressIn(a.NetNsID, a.ParentIndex)
		if err != nil {
			continue // a container that ends takes its device away; the next pass looks again
		}
		if addr.IsValid() {
			found = append(found, Stray{a.Name, addr})
		}
	}
	return found
}

// addressIn returns the first IPv4 address of a device in another network namespace.
// namespace is the ID that our namespace has for the other one (ip-netns(8)). index
// is the index of the device in the other one. The result is zero if the device has
// no address, or if the kernel is older than 4.20 and cannot answer.
func addressIn(namespace, index int) (netip.Prefix, error) {
	socket, err := nl.Subscribe(unix.NETLINK_ROUTE)
	if err != nil {
		return netip.Prefix{}, err
	}
	defer socket.Close()
	// Without this option, the kernel ignores the namespace and the device in the
	// request.
	if unix.SetsockoptInt(socket.GetFd(), unix.SOL_NETLINK, unix.NETLINK_GET_STRICT_CHK, 1) != nil {
		return netip.Prefix{}, nil
	}
	request := nl.NewNetlinkRequest(unix.RTM_GETADDR, unix.NLM_F_DUMP)
	request.Sockets = map[int]*nl.SocketHandle{unix.NETLINK_ROUTE: {Socket: socket}}
	what := nl.NewIfAddrmsg(unix.AF_INET)
	what.Index = uint32(index)
	request.AddData(what)
	request.AddData(nl.NewRtAttr(unix.IFA_TARGET_NETNSID, nl.Uint32Attr(uint32(namespace))))
	messages, err := request.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWADDR)
	if err != nil {
		return netip.Prefix{}, err
	}
	for _, m := range messages {
		msg := nl.DeserializeIfAddrmsg(m)
		if addr, ok := netip.AddrFromSlice(attribute(m[msg.Len():], unix.IFA_LOCAL)); ok && int(msg.Index) == index {
			return netip.PrefixFrom(addr, int(msg.Prefixlen)), nil
		}
	}
	return netip.Prefix{}, nil
}

// lost returns the names of the strays with an address in docker0's network.
func lost(strays []Stray, bip netip.Prefix) (names []string) {
	for _, s := range strays {
		if s.Addr.Masked() == bip.Masked() {
			names = append(names, s.Name)
		}
	}
	return names
}
