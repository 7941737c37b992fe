package icmp

import "encoding/binary"

// Header is the size of an ICMP header in bytes.
const Header = 8

// Types of messages (RFC 792; for IPv6, RFC 4443).
const (
	EchoReply    = 0
	EchoRequest  = 8
	EchoRequest6 = 128
	EchoReply6   = 129
)

// Request returns an echo request of size bytes, at least Header. kind is
// EchoRequest or EchoRequest6. The checksum is valid only for IPv4. For IPv6 the
// kernel computes it (RFC 3542, section 3.1).
func Request(kind byte, id, seq uint16, size int) []byte {
	b := make([]byte, size)
	b[0] = kind
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
