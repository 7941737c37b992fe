package pathmtu

import (
	"fmt"
	"net"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

// flush is a file. A write to it makes the kernel discard everything that it has
// learned about IPv4 routes, like `ip route flush cache`.
const flush = "/proc/sys/net/ipv4/route/flush"

// Forget makes the kernel discard the path MTU that it has learned from routers,
// if the value for an IPv4 peer is smaller than the measured one. mtu is the
// measured path MTU in bytes. The kernel then discards the values of all other
// IPv4 paths too. For an IPv6 peer Forget does nothing.
//
// Without this, the kernel would keep the old value for ten minutes
// (net.ipv4.route.mtu_expires). Its tunnels refuse larger packets during that
// time.
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

// remembered returns the MTU, in bytes, that the kernel currently assumes for the
// path to an IPv4 address (ip(7), IP_MTU).
func remembered(to netip.Addr) (mtu int, err error) {
	conn, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(to, 9))) // connecting a UDP socket sends no packet
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
