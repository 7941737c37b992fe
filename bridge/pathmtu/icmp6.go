package pathmtu

import (
	"encoding/binary"
	"errors"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/gremesh/gremesh/bridge/icmp"
)

// Constants of ICMPv6 (RFC 4443).
const (
	typeTooBig    = 2
	ip6Header     = 40 // bytes, without extensions
	protocolICMP6 = 58
)

func prepare6(fd int) error {
	var filter unix.ICMPv6Filter // a set bit blocks a message type (RFC 3542, section 3.2)
	for i := range filter.Data {
		filter.Data[i] = ^uint32(0)
	}
	for _, t := range []int{typeTooBig, icmp.EchoReply6} {
		filter.Data[t/32] &^= 1 << (t % 32)
	}
	return errors.Join(
		unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_PROBE),
		unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_DONTFRAG, 1),
		unix.SetsockoptICMPv6Filter(fd, unix.IPPROTO_ICMPV6, unix.ICMPV6_FILTER, &filter),
	)
}

// parse6 reads an ICMPv6 message without its IP header. It returns false if the
// message is neither an echo reply nor a "packet too big" with an MTU.
func parse6(b []byte) (r report, ok bool) {
	if len(b) < icmp.Header {
		return r, false
	}
	if b[0] == icmp.EchoReply6 {
		return report{echo: true, id: binary.BigEndian.Uint16(b[4:]), seq: binary.BigEndian.Uint16(b[6:])}, true
	}
	inner := b[icmp.Header:]
	if b[0] != typeTooBig || len(inner) < ip6Header || inner[0]>>4 != 6 {
		return r, false
	}
	r.limit = int(min(binary.BigEndian.Uint32(b[4:]), longestIPPackage))
	r.about = netip.AddrFrom16([16]byte(inner[24:40]))
	if inner[6] == protocolICMP6 && len(inner) >= ip6Header+icmp.Header && inner[ip6Header] == icmp.EchoRequest6 {
		r.echo, r.id, r.seq = true, binary.BigEndian.Uint16(inner[ip6Header+4:]), binary.BigEndian.Uint16(inner[ip6Header+6:])
	}
	return r, r.limit > 0
}
