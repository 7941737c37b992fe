package gossip

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/gremesh/gremesh/mesh"
	"github.com/gremesh/gremesh/mesh/lease"
	"github.com/gremesh/gremesh/mesh/settings"
)

// protocol is the version of the message format below. Hosts with different
// versions do not join each other.
const protocol = 2

// packet holds everything that hosts send to each other in addition to
// memberlist's own messages. It travels as a user message, and as the state in
// a push/pull exchange.
type packet struct {
	Mesh        string         `cbor:"1,keyasint"` // the sender's mesh; empty if the sender is in none yet
	Records     []lease.Record `cbor:"2,keyasint,omitempty"`
	Lease       *lease.Message `cbor:"3,keyasint,omitempty"`
	TableDigest *tableDigest   `cbor:"6,keyasint,omitempty"`
	Duplicate   netip.AddrPort `cbor:"4,keyasint,omitzero"` // the address of another host with the receiver's ID
	Offer       *offer         `cbor:"9,keyasint,omitempty"`
	Uptime      time.Duration  `cbor:"5,keyasint,omitempty"` // the uptime of the sender, if the sender itself is that host
	Ask         *question      `cbor:"7,keyasint,omitempty"`
	Tell        *reply         `cbor:"8,keyasint,omitempty"`
	InProgress  uint64         `cbor:"10,keyasint,omitempty"` // the number of a question whose answer is in progress
	Sign        *signature     `cbor:"12,keyasint,omitempty"` // names the sender
	Echo        *echo          `cbor:"13,keyasint,omitempty"`
	Forced      *forced        `cbor:"14,keyasint,omitempty"`

	Settings *settings.Record `cbor:"11,keyasint,omitempty"` // the settings of the sender's mesh
}

// tableDigest is the digest of a host's knowledge. A receiver with a different
// digest answers with its whole state.
type tableDigest struct {
	From   lease.ID `cbor:"1,keyasint"`
	Digest uint64   `cbor:"2,keyasint"` // of its table

	Settings uint64 `cbor:"3,keyasint,omitempty"` // digest of its mesh settings; 0: not compared
}

// meta is the information that memberlist distributes about every host.
type meta struct {
	Protocol int              `cbor:"1,keyasint"`
	Mesh     string           `cbor:"2,keyasint"`
	Name     string           `cbor:"3,keyasint"`
	Pool     netip.Prefix     `cbor:"4,keyasint"`
	Bits     int              `cbor:"5,keyasint"`
	Tunnels  mesh.TunnelCount `cbor:"8,keyasint"`
	Direct   netip.Prefix     `cbor:"9,keyasint,omitzero"`   // see Config
	MTU      int              `cbor:"11,keyasint,omitempty"` // see mesh.Host
	// Life is the number of the host's process. It is greater than that of
	// every earlier process of the host. Other hosts reject the meta of an
	// earlier process.
	Life uint64 `cbor:"14,keyasint,omitempty"`
}

func (m meta) leasePool() lease.Pool { return lease.Pool{Prefix: m.Pool, Bits: m.Bits} }

// maxRecords is the maximum number of records in a table that a host accepts.
const maxRecords = 1 << 16

var (
	encoding = must(cbor.EncOptions{}.EncMode())
	decoding = must(cbor.DecOptions{
		DupMapKey: cbor.DupMapKeyEnforcedAPF, IndefLength: cbor.IndefLengthForbidden, TagsMd: cbor.TagsForbidden,
		MaxArrayElements: maxRecords, MaxMapPairs: 32, MaxNestedLevels: 8,
	}.DecMode())
)

func must[T any](mode T, err error) T {
	if err != nil {
		panic(err) // not reachable, because the options are constants
	}
	return mode
}

func encode(v any) []byte { return must(encoding.Marshal(v)) }

// decodePacket decodes a packet. It rejects a packet that no host sends, so the
// returned packet is valid.
func decodePacket(data []byte) (packet, error) {
	var p packet
	if err := decoding.Unmarshal(data, &p); err != nil {
		return packet{}, fmt.Errorf("packet of %d bytes: %w", len(data), err)
	}
	if !validMesh(p.Mesh) {
		return packet{}, fmt.Errorf("packet of %d bytes: of the mesh %.80q, which is none", len(data), p.Mesh)
	}
	if err := lease.ValidateAll(p.Records); err != nil {
		return packet{}, fmt.Errorf("packet of %d bytes: %w", len(data), err)
	}
	if p.Lease != nil {
		if err := p.Lease.Validate(); err != nil {
			return packet{}, fmt.Errorf("packet of %d bytes: %w", len(data), err)
		}
	}
	if p.Ask != nil && (p.Ask.From.IsZero() || p.Ask.Number == 0) {
		return packet{}, fmt.Errorf("packet of %d bytes: a question of nobody, or without a number", len(data))
	}
	if p.Tell != nil && (p.Tell.Number == 0 || len(p.Tell.Row) > maxRow) {
		return packet{}, fmt.Errorf("packet of %d bytes: an answer without a number, or too long", len(data))
	}
	if p.Settings != nil {
		if err := p.Settings.Validate(); err != nil {
			return packet{}, fmt.Errorf("packet of %d bytes: %w", len(data), err)
		}
	}
	if p.Offer != nil && !validOffer(*p.Offer) {
		return packet{}, fmt.Errorf("packet of %d bytes: a pairing of nobody, or of no type", len(data))
	}
	if p.Sign != nil && (p.Sign.From.IsZero() || !lease.UsableUnderlay(p.Sign.At.Addr()) || p.Sign.At.Port() == 0) {
		return packet{}, fmt.Errorf("packet of %d bytes: signed by nobody, or without an address", len(data))
	}
	if p.Echo != nil && (p.Echo.Number == 0 || p.Sign == nil) {
		return packet{}, fmt.Errorf("packet of %d bytes: a challenge without a number or a sender", len(data))
	}
	if p.Forced != nil && len(p.Forced.Hosts) > maxForced {
		return packet{}, fmt.Errorf("packet of %d bytes: %d hosts removed by force", len(data), len(p.Forced.Hosts))
	}
	return p, nil
}

// validMesh reports whether a mesh ID can be sent to other hosts and printed on
// one line. The empty ID is valid: the host is in no mesh yet.
func validMesh(id string) bool { return id == "" || lease.ValidName(id) }

func decodeRow(data []byte) (mesh.Row, error) {
	var r mesh.Row
	if err := decoding.Unmarshal(data, &r); err != nil {
		return mesh.Row{}, fmt.Errorf("row of %d bytes: %w", len(data), err)
	}
	if err := r.Validate(); err != nil {
		return mesh.Row{}, err
	}
	return r, nil
}

func decodeMeta(data []byte) (meta, error) {
	var m meta
	if err := decoding.Unmarshal(data, &m); err != nil {
		return meta{}, fmt.Errorf("not a gremesh host, or one of another version: %w", err)
	}
	if !lease.ValidName(m.Name) {
		return meta{}, fmt.Errorf("its name %.80q is none: want 1 to %d printable bytes", m.Name, lease.MaxName)
	}
	if m.Protocol != protocol {
		return meta{}, fmt.Errorf("speaks protocol %d, this host %d", m.Protocol, protocol)
	}
	if !validMesh(m.Mesh) {
		return meta{}, fmt.Errorf("its mesh %.80q is none", m.Mesh)
	}
	return m, nil
}
