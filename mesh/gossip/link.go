package gossip

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"syscall"
)

// The multicast groups of all hosts on a link (RFC 1112, RFC 4291). Every host
// is a member of them, and switches forward them to all ports (RFC 4541,
// section 2.1.2).
var (
	allHosts4 = netip.MustParseAddr("224.0.0.1")
	allHosts6 = netip.MustParseAddr("ff02::1")
)

// IP_MULTICAST_ALL and IPV6_MULTICAST_ALL (ip(7)). If the option is 0, a socket
// receives only from interfaces on which it has joined the group. So no
// container of this host can reach the socket.
const (
	multicastAll4 = 49
	multicastAll6 = 29
)

// listenToLink starts to receive beacons that are sent to all hosts of the
// underlay's link. If that is not possible, other hosts cannot find this host
// by beacons, and it finds no host.
func (n *network) listenToLink() {
	device, err := deviceFor(n.at.Addr())
	if err != nil {
		return
	}
	group := allHosts4
	if n.at.Addr().Is6() {
		group = allHosts6.WithZone(device.Name)
	}
	n.group = netip.AddrPortFrom(group, n.at.Port())
	conn, err := listenGroup(n.group, device.Index)
	if err != nil {
		return
	}
	n.link = conn
	n.readers.Go(n.readBeacons)
}

// listenGroup opens a socket that receives datagrams for a multicast group from
// one device only. Package net would bind the socket to all addresses. That
// would conflict with gossip's own socket.
func listenGroup(group netip.AddrPort, device int) (*net.UDPConn, error) {
	family := syscall.AF_INET
	if group.Addr().Is6() {
		family = syscall.AF_INET6
	}
	fd, err := syscall.Socket(family, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	file := os.NewFile(uintptr(fd), "gossip group")
	defer file.Close() //nolint:errcheck // FilePacketConn has its own
	// In tests, several hosts share a network namespace, and each needs a
	// socket.
	if err := syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1); err != nil {
		return nil, err
	}
	if group.Addr().Is4() {
		err = errors.Join(
			syscall.SetsockoptInt(fd, syscall.IPPROTO_IP, multicastAll4, 0),
			syscall.SetsockoptIPMreqn(fd, syscall.IPPROTO_IP, syscall.IP_ADD_MEMBERSHIP,
				&syscall.IPMreqn{Multiaddr: group.Addr().As4(), Ifindex: int32(device)}),
			syscall.Bind(fd, &syscall.SockaddrInet4{Addr: group.Addr().As4(), Port: int(group.Port())}))
	} else {
		err = errors.Join(
			syscall.SetsockoptInt(fd, syscall.IPPROTO_IPV6, multicastAll6, 0),
			syscall.SetsockoptIPv6Mreq(fd, syscall.IPPROTO_IPV6, syscall.IPV6_JOIN_GROUP,
				&syscall.IPv6Mreq{Multiaddr: group.Addr().As16(), Interface: uint32(device)}),
			syscall.Bind(fd, &syscall.SockaddrInet6{Addr: group.Addr().As16(), Port: int(group.Port()), ZoneId: uint32(device)}))
	}
	if err != nil {
		return nil, err
	}
	conn, err := net.FilePacketConn(file)
	if err != nil {
		return nil, err
	}
	return conn.(*net.UDPConn), nil
}

func (n *network) readBeacons() {
	buf := make([]byte, largestBeacon)
	for {
		size, from, err := n.link.ReadFromUDPAddrPort(buf)
		if err != nil {
			if !n.canReadAgain(err) {
				return
			}
			continue
		}
		if size > 0 && buf[0] == beaconMark {
			n.beacon(buf[:size], from, n.udp)
		}
	}
}

// largestBeacon is the size of the receive buffer in bytes. A longer datagram
// is cut off, and then fails to open.
const largestBeacon = 2048

var errNoLink = errors.New("the underlay's device takes no multicast")

// ask sends a datagram to all hosts of the underlay's link. The socket is bound
// to the underlay's address, and that address decides the device.
func (n *network) ask(packet []byte) error {
	if n.link == nil {
		return errNoLink
	}
	_, err := n.udp.WriteToUDPAddrPort(packet, n.group)
	return err
}

// deviceFor returns the network device that has an address.
func deviceFor(addr netip.Addr) (*net.Interface, error) {
	devices, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	for _, d := range devices {
		addrs, err := d.Addrs()
		has := func(a net.Addr) bool {
			p, ok := a.(*net.IPNet)
			if !ok {
				return false
			}
			// A loopback device accepts every address of its network.
			return p.IP.Equal(addr.AsSlice()) || addr.IsLoopback() && p.Contains(addr.AsSlice())
		}
		if err == nil && slices.ContainsFunc(addrs, has) {
			return &d, nil
		}
	}
	return nil, errors.New("no device has the address " + addr.String())
}
