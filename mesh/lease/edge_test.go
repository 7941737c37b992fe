package lease

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
)

// edge plays a schedule of the rare events that ordinary schedules hardly ever
// combine: hosts lose their state while others are merely down, operators
// forget hosts in several partitions, all hosts leave. Few hosts, and newcomers
// that all want the same subnet, make a mistake visible.
func edge(seed uint64) (*sim, error) {
	rng := rand.New(rand.NewPCG(seed, 2))
	first := 4 + rng.IntN(3)
	s := newSim(seed, first+4, Pool{Prefix: netip.MustParsePrefix("172.17.0.0/16"), Bits: 24})
	wanted := s.hosts[0].cfg.Pool.At(60)
	for _, h := range s.hosts[first:] {
		h.cfg.Prefer = []netip.Prefix{wanted}
	}
	for _, h := range s.hosts {
		h.cfg.Objection = func(id ID) Objection {
			if other := s.byID[id]; other != nil && s.reach(h, other) {
				return IsAlive
			}
			return NoObjection
		}
	}
	for i, h := range s.hosts[:first] {
		h.start()
		s.run(time.Duration(i+1)*500*time.Millisecond, nil)
	}
	if seed%2 == 0 {
		s.disaster(rng, first)
		return s, s.wrong
	}
	for range 6 + rng.IntN(14) {
		s.strike(rng, first)
		s.run(s.now+time.Duration(200+rng.IntN(1500))*time.Millisecond, nil)
		s.now += time.Millisecond // an idle mesh has no events
		if s.wrong != nil {
			break
		}
	}
	return s, s.wrong
}

// disaster has one newcomer take the subnet on one side of a partition, then
// misfortune befall those who granted it while it is away, and then another
// newcomer ask for the same subnet.
func (s *sim) disaster(rng *rand.Rand, first int) {
	pass := func() {
		s.run(s.now+time.Duration(1000+rng.IntN(1000))*time.Millisecond, nil)
		s.now += time.Millisecond
	}
	away := 2 + rng.IntN(2) // the group of hosts that are merely down
	for _, h := range s.hosts[:first] {
		h.group = rng.IntN(2)
	}
	s.hosts[first].group = rng.IntN(2)
	s.hosts[first].start()
	pass()
	s.hosts[first].group = away
	burns, loses := 0.3*float64(rng.IntN(3)), 0.3*float64(rng.IntN(3))
	for round := range 2 {
		for _, h := range s.hosts[:first] {
			switch {
			case h.gone:
			case rng.Float64() < burns:
				h.stop()
				h.gone = true
			case round == 0 && rng.Float64() < loses:
				h.stop()
				h.disk, h.cfg.Lost, h.cfg.Founder = nil, true, false
				h.group = 0
			case rng.IntN(4) == 0:
				h.group = away
			case h.group != away || rng.IntN(2) == 0:
				h.group = 0
			}
		}
		for _, h := range s.hosts[:first] {
			h.start() // those who lost their state
		}
		pass()
		for _, dead := range s.hosts[:first] {
			for _, h := range s.hosts[:first] { // one at a time
				if dead.gone && h.m != nil && h.m.active && h.group == 0 && h.holds.IsValid() {
					h.do(h.m.Forget(dead.cfg.Self))
					pass()
					break
				}
			}
		}
	}
	s.hosts[first+1].group = 0
	s.hosts[first+1].start()
	pass()
}

func (s *sim) strike(rng *rand.Rand, first int) {
	h := s.hosts[rng.IntN(first)]
	newcomer := s.hosts[first+rng.IntN(len(s.hosts)-first)]
	switch rng.IntN(12) {
	case 0, 1, 2: // a partition: each host is on one of two sides
		for _, other := range s.hosts {
			other.group = rng.IntN(2)
		}
	case 3:
		for _, other := range s.hosts {
			other.group = 0
		}
	case 4, 5:
		newcomer.group = h.group
		newcomer.start()
	case 6:
		if h.m != nil {
			h.stop()
		}
	case 7: // it loses its state, and starts
		if h.gone {
			return
		}
		if h.m != nil {
			h.stop()
		}
		h.disk, h.cfg.Lost, h.cfg.Founder = nil, true, false // as the store has it
		h.start()
	case 8:
		if h.m != nil && !h.gone {
			h.stop()
			h.gone = true
		}
	case 9, 10: // an operator in each partition forgets a host that is gone
		var gone []*simHost
		for _, other := range s.hosts {
			if other.gone {
				gone = append(gone, other)
			}
		}
		if len(gone) == 0 {
			return
		}
		dead := gone[rng.IntN(len(gone))]
		asked := make(map[int]bool)
		for _, other := range s.hosts {
			if other.m != nil && other.m.active && other.holds.IsValid() && !asked[other.group] {
				asked[other.group] = true
				other.do(other.m.Forget(dead.cfg.Self))
			}
		}
	case 11: // everyone leaves, and most come back
		if rng.IntN(3) > 0 {
			return
		}
		for _, other := range s.hosts {
			if other.m != nil && other.m.active {
				other.leave(false)
			}
		}
		for _, other := range s.hosts[:first] {
			if rng.IntN(4) > 0 {
				other.start()
			}
		}
	}
}

func playEdges(first uint64, n int) error {
	var group errgroup.Group
	group.SetLimit(2)
	var failed atomic.Bool
	for i := range uint64(n) {
		group.Go(func() error {
			if failed.Load() {
				return nil
			}
			_, err := edge(first + i)
			if err != nil {
				failed.Store(true)
			}
			return err
		})
	}
	return group.Wait()
}

func TestNoTwoHostsHoldOneSubnetAtTheEdges(t *testing.T) {
	n := *schedules * 5
	if testing.Short() {
		n = 300
	}
	if err := playEdges(*firstSeed, n); err != nil {
		t.Error(err)
	}
}

// Without one of these rules, the edges find what was wrong before there was
// one.
func TestTheEdgesFindWhatAMissingRuleBreaks(t *testing.T) {
	wanted(t, map[rule]bool{recall: true, consent: true})
	err := playEdges(1, 12000)
	if err == nil {
		t.Fatalf("without the rule that %s nothing breaks", missing)
	}
	t.Logf("without the rule that %s: %v", missing, err)
}

func (n *testNet) bootWith(i byte, disk []Record, change func(*Config)) *Machine {
	cfg := testConfig(i)
	change(&cfg)
	m := NewMachine(cfg, disk)
	n.machines[ID{i}] = m
	m.Merge(disk)
	n.deliver(m.Start())
	return m
}

// holders counts the machines that hold a subnet.
func (n *testNet) holders(subnet netip.Prefix) (count int) {
	for _, m := range n.machines {
		if m.Holds() && m.Own().Subnet == subnet {
			count++
		}
	}
	return count
}

// h6 has .60 by the grants of h1, h2 and h3, and only they know it. h1 and h2
// burn, h3 and h6 are cut off. Then h1 and h2 are forgotten, one at a time.
func TestForgettingOneAtATimeMakesNoSecondHolder(t *testing.T) {
	want := wanted(t, map[rule]int{none: 1, consent: 2})
	net := newTestNet(t, 5)
	known := net.disk(4)
	prefer := func(c *Config) { c.Prefer = []netip.Prefix{testSubnet(60)} }
	net.cut[ID{4}], net.cut[ID{5}] = true, true
	wantOwn(t, net.bootWith(6, known, prefer), Held, testSubnet(60))
	net.cut = map[ID]bool{{1}: true, {2}: true, {3}: true, {6}: true}
	for i := byte(1); i <= 2; i++ {
		net.deliver(net.machines[ID{4}].Forget(ID{i}))
		net.deliver(net.machines[ID{4}].Retry())
		net.meet(net.machines[ID{4}], net.machines[ID{5}])
	}
	net.bootWith(7, net.disk(4), prefer)
	if got := net.holders(testSubnet(60)); got != want {
		t.Errorf("without the rule %q: %d hosts hold .60, want %d", missing, got, want)
	}
}

// As above, but h3 is there while h1 and h2 are forgotten, and agrees. Then it
// burns, too. It has told of h6, which then counts as silent: three of six are
// no majority, and no one is forgotten.
func TestWhoAgreesToARemovalHandsItsPromisesOver(t *testing.T) {
	want := wanted(t, map[rule]int{none: 1, handOver: 2})
	net := newTestNet(t, 5)
	known := net.disk(4)
	prefer := func(c *Config) { c.Prefer = []netip.Prefix{testSubnet(60)} }
	net.cut[ID{4}], net.cut[ID{5}] = true, true
	wantOwn(t, net.bootWith(6, known, prefer), Held, testSubnet(60))
	net.cut = map[ID]bool{{1}: true, {2}: true, {6}: true}
	for i := byte(1); i <= 3; i++ {
		net.cut[ID{3}] = i == 3
		net.deliver(net.machines[ID{4}].Forget(ID{i}))
		net.deliver(net.machines[ID{4}].Retry())
		net.meet(net.machines[ID{4}], net.machines[ID{5}])
	}
	net.bootWith(7, net.disk(4), prefer)
	if got := net.holders(testSubnet(60)); got != want {
		t.Errorf("without the rule %q: %d hosts hold .60, want %d", missing, got, want)
	}
}

// As above, but h1 and h2 lose their state and keep their ID; h3 and h6 are
// down.
func TestTwoLostStatesMakeNoSecondHolder(t *testing.T) {
	want := wanted(t, map[rule]int{none: 1, recall: 2})
	net := newTestNet(t, 5)
	known := net.disk(4)
	prefer := func(c *Config) { c.Prefer = []netip.Prefix{testSubnet(60)} }
	net.cut[ID{4}], net.cut[ID{5}] = true, true
	wantOwn(t, net.bootWith(6, known, prefer), Held, testSubnet(60))
	net.cut = map[ID]bool{{3}: true, {6}: true}
	var lost []*Machine
	for i := byte(1); i <= 2; i++ {
		cfg := testConfig(i)
		cfg.Lost = missing != recall
		m := NewMachine(cfg, nil)
		net.machines[ID{i}] = m
		m.Merge(known)
		lost = append(lost, m)
	}
	for _, m := range lost {
		net.deliver(m.Start())
	}
	for range 3 {
		for _, m := range lost {
			net.deliver(m.Retry())
		}
	}
	net.bootWith(7, known, prefer)
	if got := net.holders(testSubnet(60)); got != want {
		t.Errorf("without the rule %q: %d hosts hold .60, want %d", missing, got, want)
	}
	if missing == none {
		if w := lost[0].Waiting(); !slices.Equal(w.Lost, []ID{{2}}) {
			t.Errorf("h1 waits: %+v, want h2 as one that lost its promises", w)
		}
	}
}

func TestWhenAllHaveLeftTheOldestIsNamedAndCanBeRemovedByForce(t *testing.T) {
	net := newTestNet(t, 3)
	for i := byte(1); i <= 3; i++ {
		net.machines[ID{i}].Leave(false)
		for j := byte(1); j <= 3; j++ {
			net.machines[ID{j}].Merge(net.disk(i))
		}
	}
	disk := net.disk(3)
	clear(net.machines)
	m := net.boot(2, disk)
	wantOwn(t, m, Left, testSubnet(2))
	if w := m.Waiting(); w.Oldest != (ID{1}) {
		t.Errorf("it waits: %+v, want for h1", w)
	}
	net.deliver(m.Force(map[ID]bool{{1}: true}))
	wantOwn(t, m, Held, testSubnet(2))
	if three := net.boot(3, m.Table().Records()); !three.Holds() || three.Own().Subnet != testSubnet(3) {
		t.Errorf("the next has its subnet by asking: %+v", three.Own())
	}
}

// A host that went away with its claim may hold a lease, so nobody begins
// without it.
func TestAfterAllHaveLeftAHostThatStillClaimedIsNamedAndCanBeRemovedByForce(t *testing.T) {
	net := newTestNet(t, 2)
	net.machines[ID{1}].Merge([]Record{testRecord(3, Claiming, testSubnet(3), 0)})
	for i := byte(1); i <= 2; i++ {
		net.machines[ID{i}].Leave(false)
	}
	net.machines[ID{1}].Merge(net.disk(2))
	disk := net.disk(1)
	clear(net.machines)
	m := net.boot(1, disk)
	wantOwn(t, m, Left, testSubnet(1))
	if w := m.Waiting(); !slices.Equal(w.Silent, []ID{{3}}) {
		t.Errorf("it waits: %+v, want for h3", w)
	}
	net.deliver(m.Force(map[ID]bool{{3}: true}))
	wantOwn(t, m, Held, testSubnet(1))
}

// A twin, or an old disk, claims with a version that is known with another
// subnet.
func TestAGrantIsAStoredRecord(t *testing.T) {
	want := wanted(t, map[rule]bool{none: false, storedGrant: true})
	net := newTestNet(t, 2)
	claim := testRecord(4, Claiming, testSubnet(30), 0)
	m := net.machines[ID{1}]
	m.Receive(Message{Claim: &Claim{Record: claim}})
	claim.Subnet = testSubnet(20)
	out := m.Receive(Message{Claim: &Claim{Record: claim}})
	if got := out.Send[0].Message.Answer.Granted; got != want {
		t.Errorf("without the rule %q: granted %t, want %t", missing, got, want)
	}
}

// A removal is refuted by the host itself when it is running.
func TestAHostThatIsRunningIsNotForgotten(t *testing.T) {
	net := newTestNet(t, 5)
	net.cut[ID{2}], net.cut[ID{3}], net.cut[ID{5}] = true, true, true
	out := net.machines[ID{1}].Forget(ID{5})
	net.deliver(out)
	if now, ok := net.machines[ID{1}].Removing(); !ok || now.Stands() {
		t.Fatalf("two of five agree: %+v", now)
	}
	clear(net.cut)
	net.meet(net.machines[ID{1}], net.machines[ID{5}])
	net.meet(net.machines[ID{1}], net.machines[ID{5}])
	wantOwn(t, net.machines[ID{5}], Held, testSubnet(5))
	if now, _ := net.machines[ID{1}].Removing(); now.Stands() || len(now.Against) == 0 {
		t.Errorf("the removal goes on: %+v", now)
	}
}
