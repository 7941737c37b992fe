package pathmtu

import (
	"encoding/binary"
	"errors"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/gremesh/gremesh/bridge/icmp"
)

// Constants of ICMP for IPv4 (RFC 792 and RFC 1191).
const (
	typeUnreachable = 3
	codeFragNeeded  = 4
	ipHeader        = 20 // bytes, without options
	protocolICMP    = 1
	icmpFilter      = 1 // ICMP_FILTER, raw(7)
)

func prepare4(fd int) error {
	return errors.Join(
		unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_PROBE),
		unix.SetsockoptInt(fd, unix.SOL_RAW, icmpFilter, ^(1<<icmp.EchoReply|1<<typeUnreachable)),
	)
}

// parse4 reads an ICMP message without its IP header. It returns false if the
// message is neither an echo reply nor a "fragmentation needed" with an MTU.
func parse4(b []byte) (r report, ok bool) {
	if len(b) < icmp.Header {
		return r, false
	}
	if b[0] == icmp.EchoReply {
		return report{echo: true, id: binary.BigEndian.Uint16(b[4:]), seq: binary.BigEndian.Uint16(b[6:])}, true
	}
	inner := b[icmp.Header:]
	if b[0] != typeUnreachable || b[1] != codeFragNeeded || len(inner) < ipHeader || inner[0]>>4 != 4 {
		return r, false
	}
	r.limit = int(binary.BigEndian.Uint16(b[6:]))
	r.about = netip.AddrFrom4([4]byte(inner[16:20]))
	header := int(inner[0]&0xf) * 4
	if inner[9] == protocolICMP && header >= ipHeader && len(inner) >= header+icmp.Header && inner[header] == icmp.EchoRequest {
		r.echo, r.id, r.seq = true, binary.BigEndian.Uint16(inner[header+4:]), binary.BigEndian.Uint16(inner[header+6:])
	}
	return r, r.limit > 0
}
