package gossip

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"net/netip"
	"sync"
	"time"

	"github.com/gremesh/gremesh/mesh/lease"
)

// A beacon is one datagram of the search for a mesh (see search.go):
//
//	mark (1 byte) | nonce (12 bytes) | AES-GCM of the CBOR-encoded beacon
//
// Without a gossip key the nonce is zero, and plain text follows. The additional
// data keep a beacon and a message of memberlist, which has the same key, from
// being taken for each other.
const (
	// beaconMark is no first byte of a datagram of memberlist: those are an
	// encryption version (0, 1), a message type (at most 13), or 244.
	beaconMark  = 0xb7
	beaconNonce = 12 // bytes
	beaconData  = "gremesh beacon"
	// questionSize is the least size of a question in bytes. An answer is never
	// larger than its question: who forges the source of a question gains nothing.
	questionSize = 512
	answerRate   = 50 // answers a second at most
)

// beacon asks hosts on the link for their mesh, or answers.
type beacon struct {
	Number   [16]byte       `cbor:"1,keyasint"` // drawn at random by the one who asks; the answer repeats it
	Answer   bool           `cbor:"2,keyasint"`
	ID       lease.ID       `cbor:"3,keyasint"`
	Name     string         `cbor:"4,keyasint"`
	Mesh     string         `cbor:"5,keyasint"` // of an answer; empty: that host is about to create one
	Underlay netip.AddrPort `cbor:"6,keyasint"`
	Pad      []byte         `cbor:"7,keyasint,omitempty"`
}

var errBeacon = errors.New("no beacon of this mesh")

// seal encodes and encrypts a beacon.
func (b beacon) seal(keys [][]byte) []byte {
	packet := make([]byte, 1+beaconNonce, questionSize)
	packet[0] = beaconMark
	if len(keys) == 0 {
		return append(packet, encode(b)...)
	}
	_, _ = rand.Read(packet[1:]) // never fails (crypto/rand)
	return must(newGCM(keys[0])).Seal(packet, packet[1:], encode(b), []byte(beaconData))
}

// openBeacon decrypts, decodes and checks a beacon.
func openBeacon(keys [][]byte, packet []byte) (beacon, error) {
	if len(packet) < 1+beaconNonce || packet[0] != beaconMark {
		return beacon{}, errBeacon
	}
	nonce, sealed := packet[1:1+beaconNonce], packet[1+beaconNonce:]
	plain := sealed
	if len(keys) > 0 {
		plain = nil
		for _, key := range keys {
			opened, err := must(newGCM(key)).Open(nil, nonce, sealed, []byte(beaconData))
			if err == nil {
				plain = opened
				break
			}
		}
		if plain == nil {
			return beacon{}, errBeacon
		}
	}
	var b beacon
	if err := decoding.Unmarshal(plain, &b); err != nil {
		return beacon{}, err
	}
	if b.ID.IsZero() || !lease.ValidName(b.Name) || !validMesh(b.Mesh) || !lease.UsableUnderlay(b.Underlay.Addr()) || b.Underlay.Port() == 0 {
		return beacon{}, errBeacon
	}
	return b, nil
}

func newGCM(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// rate allows so many events in each second.
type rate struct {
	mu     sync.Mutex
	second time.Time
	count  int
}

func (r *rate) allow(most int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now := time.Now(); now.Sub(r.second) >= time.Second {
		r.second, r.count = now, 0
	}
	r.count++
	return r.count <= most
}
