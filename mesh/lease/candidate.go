package lease

import (
	"encoding/binary"
	"net/netip"
)

// only returns the one subnet that the host may claim. It returns the zero
// Prefix if the host may choose. The subnet is the operator's fixed one, the
// one requested with [Machine.Renumber], or the host's former one. The host's
// containers still have addresses of the former one.
func (m *Machine) only() netip.Prefix {
	own := m.Own()
	switch {
	case m.cfg.Fixed.IsValid():
		return m.cfg.Fixed
	case m.requestedSubnet.IsValid():
		return m.requestedSubnet
	case own.Sequence > 0 && own.State != Released && !m.moves:
		return own.Subnet
	}
	return netip.Prefix{}
}

// Candidate returns the subnet that the host would claim first, judged by the
// records that it knows. ok is false if no subnet is left.
func (m *Machine) Candidate() (netip.Prefix, bool) { return m.candidate(nil) }

// candidate returns the subnet to claim next. If the host may claim only one
// subnet, it is that one. Otherwise it is the first preferred subnet that is
// free, or a free subnet found by hashing the host's ID. Because of the hash,
// hosts that start together rarely try the same subnet. candidate skips the
// subnets in refused. It returns false if no subnet is left.
func (m *Machine) candidate(refused map[netip.Prefix]bool) (netip.Prefix, bool) {
	free := func(subnet netip.Prefix) bool { return !refused[subnet] && m.mayHave(subnet) }
	if only := m.only(); only.IsValid() {
		return only, free(only)
	}
	own := m.Own()
	for _, subnet := range append([]netip.Prefix{own.Subnet}, m.cfg.Prefer...) {
		if m.cfg.Pool.Contains(subnet) && free(subnet) && (subnet != own.Subnet || !m.moves) {
			return subnet, true
		}
	}
	n := uint64(m.cfg.Pool.Len())
	start := binary.BigEndian.Uint64(m.self[:8])
	step := binary.BigEndian.Uint64(m.self[8:]) | 1 // an odd step visits every index, because Len is a power of two
	for i := range n {
		subnet := m.cfg.Pool.At(int((start + i*step) % n))
		if free(subnet) && (subnet != own.Subnet || !m.moves) {
			return subnet, true
		}
	}
	return netip.Prefix{}, false
}

// mayHave reports whether no other host's record conflicts with this host
// having subnet.
func (m *Machine) mayHave(subnet netip.Prefix) bool {
	return m.grantable(Record{Host: m.self, Subnet: subnet, Sequence: m.Own().Sequence})
}
