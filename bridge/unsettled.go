package bridge

import (
	"encoding/binary"
	"net"
	"net/netip"
)

// unsettled returns the peers whose row of a table must change, and the rows that
// must change. It omits each pair of a peer and a row for which the function is
// returns true. This does not change the resulting plan. Of a thousand peers, usually
// only a few remain.
//
// A peer and its row have the same number, which ofPeer and of return. peers and rows
// must be sorted by this number. If they are not, unsettled returns all of them. It
// also returns all peers and rows whose number is not unique.
func unsettled[T any](peers []Peer, rows []T, ofPeer func(*Peer) uint64, of func(*T) uint64, is func(*Peer, *T) bool) (somePeers []Peer, someRows []T) {
	const none = ^uint64(0)
	i, j := 0, 0
	peer, row := none, none // the numbers of peers[i] and rows[j]
	look := func() {
		peer, row = none, none
		if i < len(peers) {
			peer = ofPeer(&peers[i])
		}
		if j < len(rows) {
			row = of(&rows[j])
		}
	}
	look()
	for least := min(peer, row); least != none; least = min(peer, row) {
		fromPeer, fromRow := i, j
		for peer == least || row == least {
			if peer == least {
				i++
			}
			if row == least {
				j++
			}
			look()
		}
		if min(peer, row) < least {
			return peers, rows
		}
		if i-fromPeer != 1 || j-fromRow != 1 || !is(&peers[fromPeer], &rows[fromRow]) {
			somePeers, someRows = append(somePeers, peers[fromPeer:i]...), append(someRows, rows[fromRow:j]...)
		}
	}
	return somePeers, someRows
}

// addrNumber returns the number of an IPv4 address; 0 for any other address.
func addrNumber(a netip.Addr) uint64 {
	if !a.Is4() {
		return 0
	}
	b := a.As4()
	return uint64(binary.BigEndian.Uint32(b[:]))
}

func macNumber(mac *net.HardwareAddr) (n uint64) {
	for _, b := range *mac {
		n = n<<8 | uint64(b)
	}
	return n
}

const madeByDocker = 0x0242 << 32 // the first two bytes of MAC

func (p *Peer) subnetNumber() uint64 { return addrNumber(p.Bip.Masked().Addr()) }
func (p *Peer) bipNumber() uint64    { return addrNumber(p.Bip.Addr()) }
func (p *Peer) macNumber() uint64    { return madeByDocker | addrNumber(p.Bip.Addr()) }
func (r *Route) dstNumber() uint64   { return addrNumber(r.Dst.Addr()) }
func (n *Neighbour) number() uint64  { return addrNumber(n.IP) }
