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
// Without a gossip key the nonce is zero, and the CBOR follows unencrypted.
// memberlist uses the same key. The additional data of AES-GCM keep a host from
// accepting a beacon as a message of memberlist, or the reverse.
const (
	// beaconMark is never the first byte of a memberlist datagram. That byte is
	// an encryption version (0, 1), a message type (at most 13), or 244.
	beaconMark  = 0xb7
	beaconNonce = 12 // bytes
	beaconData  = "gremesh beacon"
	// questionSize is the smallest size of a question, in bytes. An answer is
	// never larger than its question. So an attacker gains nothing when it
	// forges the source address of a question.
	questionSize = 512
	answerRate   = 50 // answers per second at most
)

// beacon asks the hosts on the link for their mesh, or answers such a question.
type beacon struct {
	Number   [16]byte       `cbor:"1,keyasint"` // the asking host draws it at random; the answer repeats it
	Answer   bool           `cbor:"2,keyasint"`
	ID       lease.ID       `cbor:"3,keyasint"`
	Name     string         `cbor:"4,keyasint"`
	Mesh     string         `cbor:"5,keyasint"` // set in an answer; empty: the host is about to create a mesh
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

// openBeacon decrypts, decodes and validates a beacon.
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

// rate limits the number of events in each second. It is safe for concurrent
// use.
type rate struct {
	mu     sync.Mutex
	second time.Time
	count  int
}

// allow counts one event. It reports whether the present second has had at most
// most events.
func (r *rate) allow(most int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now := time.Now(); now.Sub(r.second) >= time.Second {
		r.second, r.count = now, 0
	}
	r.count++
	return r.count <= most
}
