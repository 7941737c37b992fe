package lease

import (
	"encoding/binary"
	"fmt"
	"net/netip"
)

// Space is the pool, divided into subnets of equal size. It is the same on
// every host of a mesh.
type Space struct {
	Pool netip.Prefix // an IPv4 prefix without host bits
	Bits int          // the prefix length of each subnet
}

// Validate returns an error if the pool cannot be divided into such subnets.
func (s Space) Validate() error {
	switch {
	case !s.Pool.IsValid() || !s.Pool.Addr().Is4():
		return fmt.Errorf("pool %s is not an IPv4 prefix", s.Pool)
	case s.Pool != s.Pool.Masked():
		return fmt.Errorf("pool %s has host bits: %s is meant?", s.Pool, s.Pool.Masked())
	case s.Bits <= s.Pool.Bits() || s.Bits > 30:
		return fmt.Errorf("prefix %d: want a length of %d to 30 in pool %s", s.Bits, s.Pool.Bits()+1, s.Pool)
	}
	return nil
}

// Len returns the number of subnets.
func (s Space) Len() int { return 1 << (s.Bits - s.Pool.Bits()) }

// At returns subnet number i. i must satisfy 0 <= i < Len.
func (s Space) At(i int) netip.Prefix {
	pool := s.Pool.Addr().As4()
	var addr [4]byte
	binary.BigEndian.PutUint32(addr[:], binary.BigEndian.Uint32(pool[:])+uint32(i)<<(32-s.Bits))
	return netip.PrefixFrom(netip.AddrFrom4(addr), s.Bits)
}

// Contains reports whether subnet is one of the space's subnets.
func (s Space) Contains(subnet netip.Prefix) bool {
	return subnet.Bits() == s.Bits && subnet == subnet.Masked() && s.Pool.Contains(subnet.Addr())
}

// Index is the inverse of At. The space must contain subnet. In 172.17.0.0/16
// with subnets of /24, the index is the third byte of the address.
func (s Space) Index(subnet netip.Prefix) int {
	pool, addr := s.Pool.Addr().As4(), subnet.Addr().As4()
	return int((binary.BigEndian.Uint32(addr[:]) - binary.BigEndian.Uint32(pool[:])) >> (32 - s.Bits))
}

// Bip returns the address of docker0 in a subnet, which is the first host
// address. The result has the subnet's prefix length.
func Bip(subnet netip.Prefix) netip.Prefix {
	return netip.PrefixFrom(subnet.Addr().Next(), subnet.Bits())
}
