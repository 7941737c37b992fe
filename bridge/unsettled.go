package bridge

import (
	"encoding/binary"
	"net"
	"net/netip"
)

// unsettled leaves out the peers whose row of a table is as it should be, and
// their rows: what has to be done is the same without them, and of a thousand
// peers they are all but a few. Both are sorted by a number that a peer and its
// row have in common; where they are not, all stay in, and so do peers and rows
// that have it in common with others.
func unsettled[T any](peers []Peer, rows []T, ofPeer func(*Peer) uint64, of func(*T) uint64, is func(*Peer, *T) bool) (somePeers []Peer, someRows []T) {
	const none = ^uint64(0)
	i, j := 0, 0
	peer, row := none, none // the numbers of those
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
