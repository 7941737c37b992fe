package bridge

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Stray is a container's end that is in no bridge.
type Stray struct {
	Name string
	Addr netip.Prefix // IPv4 address of the other end, in the container
}

// strays are the ends of containers that are nobody's, while no container's end
// was seen in Docker's bridge yet: it may have been deleted before this Kernel
// could see what was in it. One that somebody takes out of a bridge which has
// others is none.
func (m *litter) strays(links []netlink.Link) ([]Stray, error) {
	m.mu.Lock()
	known := m.used
	m.mu.Unlock()
	if known {
		return nil, nil
	}
	var found []Stray
	for _, l := range links {
		a := l.Attrs()
		// dockerd names those of its bridges so.
		if l.Type() != "veth" || !strings.HasPrefix(a.Name, "veth") || a.MasterIndex != 0 || a.NetNsID < 0 {
			continue
		}
		addr, err := addressIn(a.NetNsID, a.ParentIndex)
		if err != nil {
			return nil, fmt.Errorf("read the address at the other end of %s: %w", a.Name, err)
		}
		if addr.IsValid() {
			found = append(found, Stray{a.Name, addr})
		}
	}
	return found, nil
}

// addressIn is the first IPv4 address of a device in another network namespace,
// by the ID that this one has for it (ip-netns(8)); zero: it has none, or the
// kernel is older than 4.20 and can't be asked.
func addressIn(namespace, index int) (netip.Prefix, error) {
	socket, err := nl.Subscribe(unix.NETLINK_ROUTE)
	if err != nil {
		return netip.Prefix{}, err
	}
	defer socket.Close()
	// Without it, the kernel takes no notice of what the request is limited to.
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

// lost are the strays that have an address of docker0's network.
func lost(strays []Stray, bip netip.Prefix) (names []string) {
	for _, s := range strays {
		if s.Addr.Masked() == bip.Masked() {
			names = append(names, s.Name)
		}
	}
	return names
}
