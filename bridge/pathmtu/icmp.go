package pathmtu

import (
	"net/netip"

	"github.com/gremesh/gremesh/bridge/icmp"
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
		return family{"ip6:ipv6-icmp", 40, icmp.EchoRequest6, prepare6, parse6}
	}
	return family{"ip4:icmp", 20, icmp.EchoRequest, prepare4, parse4}
}

// echo returns an ICMP echo request for an IP packet of size bytes, including the
// IP header.
func (f family) echo(id, seq uint16, size int) []byte {
	return icmp.Request(f.ask, id, seq, size-f.header)
}

// report is an ICMP message that the prober uses: an echo reply, or
// "fragmentation needed" ("packet too big" in IPv6).
type report struct {
	echo    bool // the message concerns an echo request; id and seq identify the request
	id, seq uint16
	limit   int        // bytes, the MTU in "fragmentation needed"; 0: an echo reply
	about   netip.Addr // destination of the packet that was too big; set only with limit
}
