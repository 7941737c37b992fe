package load

import (
	"net/netip"

	"github.com/fxamacker/cbor/v2"

	"github.com/gremesh/gremesh/mesh"
	"github.com/gremesh/gremesh/mesh/lease"
)

// protocol is the version of the messages below. It equals the version in
// mesh/gossip/wire.go.
const protocol = 2

// packet has the fields of a gossip packet that the hosts of a crowd send or
// read. mesh/gossip/wire.go describes them.
type packet struct {
	Mesh        string         `cbor:"1,keyasint"`
	Records     []lease.Record `cbor:"2,keyasint,omitempty"`
	TableDigest *tableDigest   `cbor:"6,keyasint,omitempty"`
	Sign        *signature     `cbor:"12,keyasint,omitempty"`
	Echo        *echo          `cbor:"13,keyasint,omitempty"`
}

// tableDigest is the digest of a host's lease table.
type tableDigest struct {
	From   lease.ID `cbor:"1,keyasint"`
	Digest uint64   `cbor:"2,keyasint"`
}

// signature names the sender of a packet.
type signature struct {
	From  lease.ID       `cbor:"1,keyasint"`
	Stamp uint64         `cbor:"2,keyasint"`
	At    netip.AddrPort `cbor:"3,keyasint"`
}

// echo is a challenge or the answer to one.
type echo struct {
	Number uint64 `cbor:"1,keyasint"`
	Reply  bool   `cbor:"2,keyasint,omitempty"`
	Life   uint64 `cbor:"3,keyasint,omitempty"`
}

// meta is the information about a host that memberlist distributes.
type meta struct {
	Protocol int              `cbor:"1,keyasint"`
	Mesh     string           `cbor:"2,keyasint"`
	Name     string           `cbor:"3,keyasint"`
	Pool     netip.Prefix     `cbor:"4,keyasint"`
	Bits     int              `cbor:"5,keyasint"`
	Tunnels  mesh.TunnelCount `cbor:"8,keyasint"`
	Direct   netip.Prefix     `cbor:"9,keyasint,omitzero"`
}

func encode(v any) []byte { return must(cbor.Marshal(v)) }

func must[T any](v T, err error) T {
	if err != nil {
		panic(err) // not reachable: every value has a valid encoding
	}
	return v
}
