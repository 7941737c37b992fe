package lease

import (
	"container/heap"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"time"
)

// sim runs real machines on a simulated network and clock. Everything that
// happens is an event of its scheduler, and every choice is drawn from one
// seed: the same seed is the same run, to the last message.
type sim struct {
	seed  uint64
	wrong error // the first broken promise; nothing happens after it
	rng   *rand.Rand
	now   time.Duration
	queue eventQueue
	seq   uint64
	hosts []*simHost
	byID  map[ID]*simHost

	// The network and its faults.
	delay     func() time.Duration
	loss, dup float64
	crash     float64 // the chance of a crash at each of the two edges of a write
	spread    int     // how many hosts hear of a new lease at once

	holders  map[netip.Prefix][]*simHost // who may apply a subnet now
	steps    int
	messages int // claims and answers sent
}

// simHost is a machine, what its owner made durable, and where it is.
type simHost struct {
	*sim
	cfg    Config
	m      *Machine // nil while it is down
	disk   []Record
	image  []Record // a copy of the disk that someone made
	group  int      // hosts of different groups can't reach each other
	life   int      // raised at each start, so that timers of an earlier one end
	holds  netip.Prefix
	moving bool          // was told to renumber or to leave
	gone   bool          // for good
	seen   time.Duration // when it went down
	done   time.Duration // when it first held a lease
	sent   int
}

type simEvent struct {
	at  time.Duration
	seq uint64
	do  func()
}

type eventQueue []simEvent

func (q eventQueue) Len() int { return len(q) }
func (q eventQueue) Less(i, j int) bool {
	return q[i].at < q[j].at || q[i].at == q[j].at && q[i].seq < q[j].seq
}
func (q eventQueue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *eventQueue) Push(x any)   { *q = append(*q, x.(simEvent)) }
func (q *eventQueue) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}

// mostSteps ends a run in which messages cause more messages without end. An
// ordinary schedule of 50 hosts takes less than a tenth.
func mostSteps(hosts int) int { return max(300_000, 10_000*hosts) }

func newSim(seed uint64, hosts int, pool Pool) *sim {
	s := &sim{
		seed: seed, rng: rand.New(rand.NewPCG(seed, 0)), byID: make(map[ID]*simHost),
		holders: make(map[netip.Prefix][]*simHost), spread: hosts,
	}
	s.delay = func() time.Duration {
		return 200*time.Microsecond + time.Duration(s.rng.ExpFloat64()*float64(time.Millisecond))
	}
	for i := range hosts {
		var id ID
		binary.BigEndian.PutUint64(id[:8], s.rng.Uint64())
		binary.BigEndian.PutUint64(id[8:], s.rng.Uint64())
		h := &simHost{sim: s, cfg: Config{
			Self: id, Name: fmt.Sprintf("h%d", i), Pool: pool,
			Underlay: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 7946),
		}}
		s.hosts = append(s.hosts, h)
		s.byID[id] = h
	}
	s.hosts[0].cfg.Founder = true
	return s
}

func (s *sim) after(d time.Duration, do func()) {
	s.seq++
	heap.Push(&s.queue, simEvent{at: s.now + d, seq: s.seq, do: do})
}

// run lets events happen until the time is over or, if it is given, done.
func (s *sim) run(until time.Duration, done func() bool) {
	for s.wrong == nil && len(s.queue) > 0 && s.queue[0].at <= until && (done == nil || !done()) {
		e := heap.Pop(&s.queue).(simEvent)
		s.now = e.at
		if s.steps++; s.steps > mostSteps(len(s.hosts)) || len(s.queue) > mostSteps(len(s.hosts))/10 {
			s.breaks("not settled: hosts keep sending messages")
			return
		}
		e.do()
	}
}

func (s *sim) chance(p float64) bool { return p > 0 && s.rng.Float64() < p }

func (s *sim) reach(a, b *simHost) bool { return a.m != nil && b.m != nil && a.group == b.group }

// start boots a host from its disk. It takes part once it has exchanged tables
// with a host that it can reach; one that held a lease, and was not forgotten
// meanwhile, goes on without after a while.
func (h *simHost) start() {
	if h.m != nil || h.gone {
		return
	}
	h.life++
	h.m = NewMachine(h.cfg, h.disk)
	h.join(h.life, 0)
}

func (h *simHost) join(life, tries int) {
	if h.m == nil || h.life != life {
		return
	}
	switch peer := h.peer(); {
	case peer != nil:
		h.exchange(peer)
	case h.cfg.Founder && h.m.Own().Version == 0:
	case !h.m.Holds() || tries < 20 || h.forgotten():
		h.after(100*time.Millisecond, func() { h.join(life, tries+1) })
		return
	}
	if h.m == nil {
		return
	}
	h.do(h.m.Start())
	h.tick(life)
}

// forgotten reports whether anyone has taken the host off the books.
func (h *simHost) forgotten() bool {
	for _, other := range h.hosts {
		for _, r := range other.disk {
			if r.Host == h.cfg.Self && r.State == Forgotten {
				return true
			}
		}
	}
	return false
}

// peer is a host that can be reached, drawn at random.
func (h *simHost) peer() *simHost {
	begin := h.rng.IntN(len(h.hosts))
	for i := range h.hosts {
		if other := h.hosts[(begin+i)%len(h.hosts)]; other != h && h.reach(h, other) {
			return other
		}
	}
	return nil
}

// tick is what the owner does from time to time: retry, and exchange tables
// with someone.
func (h *simHost) tick(life int) {
	if h.m == nil || h.life != life {
		return
	}
	h.after(200*time.Millisecond+time.Duration(h.rng.Int64N(int64(300*time.Millisecond))), func() {
		if h.m == nil || h.life != life {
			return
		}
		h.do(h.m.Retry())
		if peer := h.peer(); h.m != nil && peer != nil && h.rng.IntN(4) == 0 {
			h.exchange(peer)
		}
		h.tick(life)
	})
}

func (h *simHost) exchange(peer *simHost) {
	mine := h.m.Table().Records()
	h.do(h.m.Merge(peer.m.Table().Records()))
	if peer.m != nil {
		peer.do(peer.m.Merge(mine))
	}
}

// do plays the owner's part: durable first, then out with it. A crash before
// the write loses the change, one after it the messages.
func (h *simHost) do(out Effects) {
	if out.Changed {
		if h.chance(h.crash) {
			h.stop()
			return
		}
		h.disk = h.m.Table().unsortedRecords()
		if h.chance(h.crash) {
			h.stop()
			return
		}
	}
	h.apply()
	for _, r := range out.Broadcast {
		begin := h.rng.IntN(len(h.hosts))
		for i := range min(h.spread, len(h.hosts)) {
			h.send(h.hosts[(begin+i)%len(h.hosts)], func(to *simHost) Effects { return to.m.Merge([]Record{r}) })
		}
	}
	for _, e := range out.Send {
		h.messages++
		h.sent++
		h.send(h.byID[e.To], func(to *simHost) Effects { return to.m.Receive(e.Message) })
	}
}

func (h *simHost) send(to *simHost, receive func(*simHost) Effects) {
	if h.chance(h.loss) {
		return
	}
	copies := 1
	if h.chance(h.dup) {
		copies = 2
	}
	for range copies {
		h.after(h.delay(), func() {
			if to != h && to.m != nil && to.group == h.group {
				to.do(receive(to))
			}
		})
	}
}

func (h *simHost) stop() {
	h.m = nil
	h.seen = h.now
	h.apply()
}

func (s *sim) breaks(format string, args ...any) {
	if s.wrong == nil {
		s.wrong = fmt.Errorf("seed %d: after %s, at step %d: %s", s.seed, s.now, s.steps, fmt.Sprintf(format, args...))
	}
}

// apply keeps who may apply what, and checks two promises: no two hosts ever
// may apply one subnet, and a host keeps its own until it gives it up.
func (h *simHost) apply() {
	var holds netip.Prefix
	if h.m != nil && h.m.active && h.m.Holds() {
		holds = h.m.Own().Subnet
		if h.done == 0 {
			h.done = h.now
		}
	}
	if holds == h.holds {
		return
	}
	if h.holds.IsValid() {
		if h.m != nil && !h.moving {
			h.breaks("%s lost %s and has %s", h.cfg.Name, h.holds, holds)
		}
		h.moving = false
		others := h.holders[h.holds][:0]
		for _, other := range h.holders[h.holds] {
			if other != h {
				others = append(others, other)
			}
		}
		h.holders[h.holds] = others
	}
	h.holds = holds
	if !holds.IsValid() {
		return
	}
	for _, other := range h.holders[holds] {
		h.breaks("%s and %s both hold %s", other.cfg.Name, h.cfg.Name, holds)
	}
	h.holders[holds] = append(h.holders[holds], h)
}

func (s *sim) settled() bool {
	for _, h := range s.hosts {
		if !h.gone && (h.m == nil || !h.holds.IsValid()) {
			return false
		}
	}
	return true
}

// report says where every host stands.
func (s *sim) report() string {
	var b strings.Builder
	for _, h := range s.hosts {
		if h.m == nil {
			fmt.Fprintf(&b, "%s is down, for good: %t\n", h.cfg.Name, h.gone)
			continue
		}
		own := h.m.Own()
		fmt.Fprintf(&b, "%s: %s %s, version %d, age %d; waiting %+v\n", h.cfg.Name, own.State, own.Subnet, own.Version, own.Sequence, h.m.Waiting())
	}
	return b.String()
}
