package lease

import (
	"encoding/binary"
	"net/netip"
)

// only is the one subnet that the host may claim, if there is but one: the
// operator's, the one that it was told to take, or the one that it had and that its containers have addresses of.
func (m *Machine) only() netip.Prefix {
	own := m.Own()
	switch {
	case m.cfg.Fixed.IsValid():
		return m.cfg.Fixed
	case m.wish.IsValid():
		return m.wish
	case own.Age > 0 && own.State != Released && !m.moves:
		return own.Subnet
	}
	return netip.Prefix{}
}

// Candidate is the subnet that the host would claim first, as far as it knows the
// others. It reports false when none is left.
func (m *Machine) Candidate() (netip.Prefix, bool) { return m.candidate(nil) }

// candidate picks the subnet to claim next: the only one, else the first of
// the preferred ones that is free, else a free one found by hashing the host's
// ID, so that hosts that start together rarely try the same. Subnets in refused
// are passed over. It reports false when none is left.
func (m *Machine) candidate(refused map[netip.Prefix]bool) (netip.Prefix, bool) {
	free := func(subnet netip.Prefix) bool { return !refused[subnet] && m.mayHave(subnet) }
	if only := m.only(); only.IsValid() {
		return only, free(only)
	}
	own := m.Own()
	for _, subnet := range append([]netip.Prefix{own.Subnet}, m.cfg.Prefer...) {
		if m.cfg.Space.Contains(subnet) && free(subnet) && (subnet != own.Subnet || !m.moves) {
			return subnet, true
		}
	}
	n := uint64(m.cfg.Space.Len())
	start := binary.BigEndian.Uint64(m.self[:8])
	step := binary.BigEndian.Uint64(m.self[8:]) | 1 // odd: visits all of a power of two
	for i := range n {
		subnet := m.cfg.Space.At(int((start + i*step) % n))
		if free(subnet) && (subnet != own.Subnet || !m.moves) {
			return subnet, true
		}
	}
	return netip.Prefix{}, false
}

// mayHave reports whether no one else's record stands against the host's
// having subnet.
func (m *Machine) mayHave(subnet netip.Prefix) bool {
	return m.grantable(Record{Host: m.self, Subnet: subnet, Age: m.Own().Age})
}
