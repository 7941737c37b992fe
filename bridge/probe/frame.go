package probe

import (
	"encoding/binary"
	"net"
	"net/netip"
	"slices"

	"golang.org/x/net/bpf"

	"github.com/gremesh/gremesh/bridge"
)

// Offsets, in bytes, of the fields in an Ethernet frame with an ARP packet for
// IPv4 (RFC 826), followed by the values of its fields.
const (
	etherType    = 12
	arpStart     = 14
	arpOperation = 20
	arpSenderMAC = 22
	arpSenderIP  = 28
	arpTargetMAC = 32
	arpTargetIP  = 38
	arpEnd       = 42

	typeARP     = 0x0806
	operRequest = 1
	operReply   = 2

	smallest = 60 // bytes, the minimum size of an Ethernet frame without its checksum (IEEE 802.3)
)

// fixed holds the first six bytes of an ARP packet: the types Ethernet and IPv4,
// and the lengths of their addresses. The operation follows.
var fixed = []byte{0, 1, 8, 0, 6, 4}

// request returns a probe from this host's docker0 to a peer's docker0. self and
// peer are their bips. size is the length of the frame after the Ethernet header,
// in bytes. A size below the Ethernet minimum is raised to that minimum.
func request(self, peer netip.Addr, size int) []byte {
	from, to, target := bridge.MAC(self), bridge.MAC(peer), peer.As4()
	frame := make([]byte, max(smallest, arpStart+size))
	copy(frame, to)
	copy(frame[6:], from)
	binary.BigEndian.PutUint16(frame[etherType:], typeARP)
	copy(frame[arpStart:], fixed)
	binary.BigEndian.PutUint16(frame[arpOperation:], operRequest)
	copy(frame[arpSenderMAC:], from)
	copy(frame[arpTargetIP:], target[:])
	return frame
}

// parse returns the bip of the peer whose docker0 has answered. self is this host's
// bip. ok is false unless the frame is an ARP reply and every MAC address in it is
// the expected one.
func parse(frame []byte, self netip.Addr) (peer netip.Addr, ok bool) {
	if len(frame) < arpEnd || binary.BigEndian.Uint16(frame[etherType:]) != typeARP ||
		!slices.Equal(frame[arpStart:arpOperation], fixed) || binary.BigEndian.Uint16(frame[arpOperation:]) != operReply {
		return netip.Addr{}, false
	}
	peer = netip.AddrFrom4([4]byte(frame[arpSenderIP:]))
	own, theirs := bridge.MAC(self), bridge.MAC(peer)
	is := func(at int, mac net.HardwareAddr) bool { return slices.Equal(frame[at:at+6], mac) }
	return peer, is(0, own) && is(6, theirs) && is(arpSenderMAC, theirs) && is(arpTargetMAC, own)
}

// filter returns a BPF program that accepts only incoming, untagged ARP replies
// to the MAC address of self's docker0. The kernel runs it on every frame that the
// device receives. It therefore rejects all other types of frames first.
func filter(self netip.Addr) ([]bpf.RawInstruction, error) {
	mac := bridge.MAC(self)
	const outgoing = 4 // PACKET_OUTGOING, packet(7)
	return bpf.Assemble([]bpf.Instruction{
		bpf.LoadAbsolute{Off: etherType, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: typeARP, SkipTrue: 11},
		bpf.LoadAbsolute{Off: arpOperation, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: operReply, SkipTrue: 9},
		bpf.LoadAbsolute{Off: 0, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: binary.BigEndian.Uint32(mac), SkipTrue: 7},
		bpf.LoadAbsolute{Off: 4, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: uint32(binary.BigEndian.Uint16(mac[4:])), SkipTrue: 5},
		bpf.LoadExtension{Num: bpf.ExtVLANTagPresent},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: 0, SkipTrue: 3},
		bpf.LoadExtension{Num: bpf.ExtType},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: outgoing, SkipTrue: 1},
		bpf.RetConstant{Val: arpEnd},
		bpf.RetConstant{Val: 0},
	})
}
