package pathmtu

import (
	"fmt"
	"net"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

// flush has the kernel forget all that it has learned of IPv4 routes when
// something is written to it, as `ip route flush cache` does.
const flush = "/proc/sys/net/ipv4/route/flush"

// Forget has the kernel forget what routers have said of the path to an IPv4
// peer if that is less than what was measured to pass, mtu bytes. Else it would
// remember it for ten minutes (net.ipv4.route.mtu_expires), and the kernel's
// tunnels go by it: they refuse what is larger.
func Forget(to netip.Addr, mtu int) error {
	if !to.Is4() {
		return nil
	}
	less, err := remembered(to)
	if err != nil {
		return fmt.Errorf("ask the kernel for the MTU of the path to %s: %w", to, err)
	}
	if less >= mtu {
		return nil
	}
	return os.WriteFile(flush, []byte("1"), 0o200)
}

// remembered is the MTU that the kernel holds for that of a path, bytes (ip(7),
// IP_MTU).
func remembered(to netip.Addr) (mtu int, err error) {
	conn, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(to, 9))) // nothing is sent
	if err != nil {
		return 0, err
	}
	defer func() { _ = conn.Close() }()
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, err
	}
	var failed error
	err = raw.Control(func(fd uintptr) { mtu, failed = unix.GetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_MTU) })
	if err == nil {
		err = failed
	}
	return mtu, err
}
