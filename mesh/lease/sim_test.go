package lease

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
)

// sim runs real machines on a network that delays, loses, repeats and reorders,
// in an order drawn from one seed. A host's disk is what it last made durable.
type sim struct {
	t      *testing.T
	seed   uint64
	rng    *rand.Rand
	space  Space
	hosts  []*simHost
	queue  []simEnvelope
	steps  int
	faults bool
}

type simHost struct {
	cfg   Config
	m     *Machine // nil while crashed
	disk  []Record
	group int // hosts of different groups can't reach each other
}

type simEnvelope struct {
	from ID
	Envelope
}

func simID(seed uint64, i int) ID {
	var id ID
	rng := rand.New(rand.NewPCG(seed, uint64(i)))
	binary.BigEndian.PutUint64(id[:8], rng.Uint64())
	binary.BigEndian.PutUint64(id[8:], rng.Uint64())
	return id
}

func newSim(t *testing.T, seed uint64, hosts int, space Space) *sim {
	s := &sim{t: t, seed: seed, rng: rand.New(rand.NewPCG(seed, 0)), space: space}
	for i := range hosts {
		s.hosts = append(s.hosts, &simHost{cfg: Config{
			Self: simID(seed, i), Name: fmt.Sprintf("h%d", i), Space: space,
			Underlay: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 7946),
		}})
	}
	return s
}

// start boots a host from its disk and, as joining does, exchanges tables with
// one host that it can reach.
func (s *sim) start(h *simHost) {
	h.m = NewMachine(h.cfg, h.disk)
	s.do(h, h.m.Present())
	s.gossip(h)
}

func (s *sim) host(id ID) *simHost {
	for _, h := range s.hosts {
		if h.cfg.Self == id {
			return h
		}
	}
	return nil
}

// do plays the owner's part: durable first, then send; a crash in between
// loses the messages, a crash before it the change as well.
func (s *sim) do(h *simHost, out Output) {
	if out.Changed {
		if s.faults && s.rng.IntN(200) == 0 {
			h.m = nil
			return
		}
		h.disk = h.m.Table().Records()
	}
	if s.faults && s.rng.IntN(200) == 0 {
		h.m = nil
		return
	}
	for _, e := range out.Send {
		if len(s.queue) < 1000 {
			s.queue = append(s.queue, simEnvelope{h.cfg.Self, e})
		}
	}
	s.check(h)
}

// check is the promise: what one host may apply, no other host may.
func (s *sim) check(h *simHost) {
	if h.m == nil || !h.m.Holds() {
		return
	}
	own, _ := h.m.Own()
	for _, other := range s.hosts {
		if other == h || other.m == nil || !other.m.Holds() {
			continue
		}
		if theirs, _ := other.m.Own(); theirs.Subnet == own.Subnet {
			s.t.Fatalf("seed %d, step %d: %s and %s both hold %s", s.seed, s.steps, own.Name, theirs.Name, own.Subnet)
		}
	}
}

func (s *sim) gossip(h *simHost) {
	peer := s.hosts[s.rng.IntN(len(s.hosts))]
	if h.m == nil || peer == h || peer.m == nil || peer.group != h.group {
		return
	}
	mine, theirs := h.m.Table().Records(), peer.m.Table().Records()
	s.do(h, h.m.Merge(theirs))
	if peer.m != nil {
		s.do(peer, peer.m.Merge(mine))
	}
}

// step lets one thing happen.
func (s *sim) step() {
	s.steps++
	h := s.hosts[s.rng.IntN(len(s.hosts))]
	switch dice := s.rng.IntN(100); {
	case dice < 85 && len(s.queue) > 0:
		i := s.rng.IntN(min(len(s.queue), 50)) // reordered
		e := s.queue[i]
		if !s.faults || s.rng.IntN(20) > 0 { // else it comes again
			s.queue = append(s.queue[:i], s.queue[i+1:]...)
		}
		to, from := s.host(e.To), s.host(e.from)
		if s.faults && s.rng.IntN(10) == 0 || to.m == nil || to.group != from.group {
			return // lost
		}
		s.do(to, to.m.Receive(e.Message))
	case dice < 92:
		s.gossip(h)
	case dice < 94 && h.m != nil:
		s.do(h, h.m.Retry())
	case h.m == nil:
		s.start(h)
	case s.faults && dice == 98:
		h.m = nil
	case s.faults && dice == 99:
		for _, h := range s.hosts {
			h.group = s.rng.IntN(2) * s.rng.IntN(2)
		}
	}
}

// settle heals everything and waits until every host holds a lease.
func (s *sim) settle(limit int) {
	s.faults = false
	for _, h := range s.hosts {
		h.group = 0
	}
	for range limit {
		s.step()
		if s.settled() {
			return
		}
	}
	for _, h := range s.hosts {
		if h.m != nil {
			own, _ := h.m.Own()
			s.t.Logf("%s: %+v, waiting %+v", h.cfg.Name, own, h.m.Waiting())
		}
	}
	s.t.Fatalf("seed %d: not settled after %d steps", s.seed, s.steps)
}

func (s *sim) settled() bool {
	for _, h := range s.hosts {
		if h.m == nil || !h.m.Holds() {
			return false
		}
	}
	return true
}

func TestNoTwoHostsHoldOneSubnetWhateverHappens(t *testing.T) {
	schedules := 200
	if testing.Short() {
		schedules = 50
	}
	for i := range schedules {
		seed := uint64(i + 1)
		rng := rand.New(rand.NewPCG(seed, 1))
		hosts := 5 + rng.IntN(20)
		// A pool scarcely larger than the mesh, so that claims collide.
		s := newSim(t, seed, hosts, Space{Pool: netip.MustParsePrefix("172.17.0.0/16"), Bits: 16 + 5})
		s.start(s.hosts[0])
		s.do(s.hosts[0], s.hosts[0].m.Found())
		s.faults = true
		for range 3000 {
			s.step()
		}
		s.settle(200000)
	}
}
