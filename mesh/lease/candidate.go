package lease

import (
	"encoding/binary"
	"net/netip"
)

// candidate picks the subnet to claim next: the first of the wanted ones that
// is free, else a free one found by hashing the host's ID, so that hosts that
// start together rarely try the same. Subnets in refused are passed over. It
// reports false when none is left.
func (m *Machine) candidate(refused map[netip.Prefix]bool) (netip.Prefix, bool) {
	taken := make(map[netip.Prefix]bool)
	for r := range m.table.All() {
		if r.Host != m.self && r.occupies() {
			taken[r.Subnet] = true
		}
	}
	free := func(subnet netip.Prefix) bool { return !taken[subnet] && !refused[subnet] }

	for _, subnet := range m.wanted() {
		if free(subnet) {
			return subnet, true
		}
	}
	if m.cfg.Fixed.IsValid() {
		return netip.Prefix{}, false
	}
	n := m.cfg.Space.Len()
	start := binary.BigEndian.Uint64(m.self[:8])
	step := binary.BigEndian.Uint64(m.self[8:]) | 1 // odd: visits all of a power of two
	for i := range uint64(n) {
		subnet := m.cfg.Space.At(int((start + i*step) % uint64(n)))
		if free(subnet) {
			return subnet, true
		}
	}
	return netip.Prefix{}, false
}

// wanted lists the subnets to prefer, best first.
func (m *Machine) wanted() []netip.Prefix {
	if m.cfg.Fixed.IsValid() {
		return []netip.Prefix{m.cfg.Fixed}
	}
	var subnets []netip.Prefix
	if own, ok := m.table.Get(m.self); ok && m.cfg.Space.Contains(own.Subnet) {
		subnets = append(subnets, own.Subnet)
	}
	return append(subnets, m.cfg.Prefer...)
}
