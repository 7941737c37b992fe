package pathmtu

import (
	"encoding/binary"
	"net/netip"
)

// family is what differs between ICMP for IPv4 and for IPv6.
type family struct {
	network string // as net.Dial has it
	header  int    // bytes of an IP header without options
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

// echo is an echo request that makes an IP packet of size bytes. The kernel
// sums up those of IPv6 (RFC 3542, section 3.1).
func (f family) echo(id, seq uint16, size int) []byte {
	b := make([]byte, size-f.header)
	b[0] = f.ask
	binary.BigEndian.PutUint16(b[4:], id)
	binary.BigEndian.PutUint16(b[6:], seq)
	binary.BigEndian.PutUint16(b[2:], checksum(b))
	return b
}

// checksum is that of RFC 1071.
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

// report is an ICMP message that matters here.
type report struct {
	echo    bool // about an echo request: id and seq are its own
	id, seq uint16
	limit   int        // bytes, of "fragmentation needed"; 0: an echo reply
	about   netip.Addr // with limit, where the packet was to go
}
