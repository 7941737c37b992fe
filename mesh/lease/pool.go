package lease

import (
	"encoding/binary"
	"fmt"
	"net/netip"
)

// Pool is the network of all containers, divided into subnets of equal size. It
// is the same on every host of a mesh.
type Pool struct {
	Prefix netip.Prefix // an IPv4 prefix without host bits
	Bits   int          // the prefix length of each subnet
}

// Validate returns an error if the pool cannot be divided into such subnets.
func (p Pool) Validate() error {
	switch {
	case !p.Prefix.IsValid() || !p.Prefix.Addr().Is4():
		return fmt.Errorf("pool %s is not an IPv4 prefix", p.Prefix)
	case p.Prefix != p.Prefix.Masked():
		return fmt.Errorf("pool %s has host bits: %s is meant?", p.Prefix, p.Prefix.Masked())
	case p.Bits <= p.Prefix.Bits() || p.Bits > 30:
		return fmt.Errorf("prefix %d: want a length of %d to 30 in pool %s", p.Bits, p.Prefix.Bits()+1, p.Prefix)
	}
	return nil
}

// Len returns the number of subnets.
func (p Pool) Len() int { return 1 << (p.Bits - p.Prefix.Bits()) }

// At returns subnet number i. i must satisfy 0 <= i < Len.
func (p Pool) At(i int) netip.Prefix {
	pool := p.Prefix.Addr().As4()
	var addr [4]byte
	binary.BigEndian.PutUint32(addr[:], binary.BigEndian.Uint32(pool[:])+uint32(i)<<(32-p.Bits))
	return netip.PrefixFrom(netip.AddrFrom4(addr), p.Bits)
}

// Contains reports whether subnet is one of the pool's subnets.
func (p Pool) Contains(subnet netip.Prefix) bool {
	return subnet.Bits() == p.Bits && subnet == subnet.Masked() && p.Prefix.Contains(subnet.Addr())
}

// Index is the inverse of At. The pool must contain subnet. In 172.17.0.0/16
// with subnets of /24, the index is the third byte of the address.
func (p Pool) Index(subnet netip.Prefix) int {
	pool, addr := p.Prefix.Addr().As4(), subnet.Addr().As4()
	return int((binary.BigEndian.Uint32(addr[:]) - binary.BigEndian.Uint32(pool[:])) >> (32 - p.Bits))
}

// Bip returns the address of docker0 in a subnet, which is the first host
// address. The result has the subnet's prefix length.
func Bip(subnet netip.Prefix) netip.Prefix {
	return netip.PrefixFrom(subnet.Addr().Next(), subnet.Bits())
}
