package pathmtu

import (
	"encoding/binary"
	"net/netip"
)

// family holds the differences between ICMP for IPv4 and ICMP for IPv6.
type family struct {
	network string // the name of the network for net.Dial
	header  int    // bytes, of an IP header without options
	ask     byte   // the type of an echo request
	prepare func(fd int) error
	parse   func([]byte) (report, bool)
}

func familyOf(a netip.Addr) family {
	if a.Is6() {
		return family{"ip6:ipv6-icmp", 40, typeEcho6, prepare6, parse6}
	}
	return family{"ip4:icmp", 20, typeEcho, prepare4, parse4}
}

const icmpHeader = 8 // bytes

// echo returns an ICMP echo request for an IP packet of size bytes, including the
// IP header. Its checksum is valid only for IPv4. For IPv6 the kernel computes the
// checksum (RFC 3542, section 3.1).
func (f family) echo(id, seq uint16, size int) []byte {
	b := make([]byte, size-f.header)
	b[0] = f.ask
	binary.BigEndian.PutUint16(b[4:], id)
	binary.BigEndian.PutUint16(b[6:], seq)
	binary.BigEndian.PutUint16(b[2:], checksum(b))
	return b
}

// checksum returns the Internet checksum (RFC 1071).
func checksum(b []byte) uint16 {
	var sum uint32
	for i, c := range b {
		if i%2 == 0 {
			sum += uint32(c) << 8
		} else {
			sum += uint32(c)
		}
	}
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}

// report is an ICMP message that the prober uses: an echo reply, or
// "fragmentation needed" ("packet too big" in IPv6).
type report struct {
	echo    bool // the message concerns an echo request; id and seq identify the request
	id, seq uint16
	limit   int        // bytes, the MTU in "fragmentation needed"; 0: an echo reply
	about   netip.Addr // destination of the packet that was too big; set only with limit
}
