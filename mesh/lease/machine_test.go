package lease

import (
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
)

var testPool = Pool{Prefix: netip.MustParsePrefix("172.17.0.0/16"), Bits: 24}

// testNet hands messages between machines, in order, and drops those that are
// for no one or for a host that is cut off.
type testNet struct {
	t        *testing.T
	machines map[ID]*Machine
	cut      map[ID]bool
}

func testSubnet(i byte) netip.Prefix { return testPool.At(int(i)) }

func testConfig(i byte) Config {
	return Config{
		Self: ID{i}, Name: "h", Pool: testPool, Prefer: []netip.Prefix{testSubnet(i)},
		Underlay: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, i}), 7946),
	}
}

// newTestNet has n hosts that all hold a lease: host i of subnet i, and
// sequence number i.
func newTestNet(t *testing.T, n byte) *testNet {
	net := &testNet{t: t, machines: make(map[ID]*Machine), cut: make(map[ID]bool)}
	var records []Record
	for i := byte(1); i <= n; i++ {
		records = append(records, testRecord(i, Held, testSubnet(i), uint64(i)))
	}
	for i := byte(1); i <= n; i++ {
		net.boot(i, records)
	}
	return net
}

func testRecord(i byte, state State, subnet netip.Prefix, seq uint64) Record {
	cfg := testConfig(i)
	return Record{Host: cfg.Self, Version: 2, State: state, Subnet: subnet, Sequence: seq, Name: cfg.Name, Underlay: cfg.Underlay}
}

// boot starts a host from what it last made durable.
func (n *testNet) boot(i byte, disk []Record, change ...func(*Config)) *Machine {
	cfg := testConfig(i)
	for _, f := range change {
		f(&cfg)
	}
	m := NewMachine(cfg, disk)
	n.machines[ID{i}] = m
	n.deliver(m.Start())
	return m
}

func (n *testNet) deliver(out Effects) {
	queue := out.Send
	for len(queue) > 0 {
		e := queue[0]
		queue = queue[1:]
		if m := n.machines[e.To]; m != nil && !n.cut[e.To] {
			if err := e.Message.Validate(); err != nil {
				n.t.Errorf("%+v: %v", e.Message, err)
			}
			queue = append(queue, m.Receive(e.Message).Send...)
		}
	}
}

// meet lets two hosts exchange tables.
func (n *testNet) meet(a, b *Machine) {
	ra, rb := a.Table().Records(), b.Table().Records()
	n.deliver(a.Merge(rb))
	n.deliver(b.Merge(ra))
}

func (n *testNet) disk(i byte) []Record { return n.machines[ID{i}].Table().Records() }

func wantOwn(t *testing.T, m *Machine, state State, subnet netip.Prefix) {
	t.Helper()
	if own := m.Own(); own.State != state || own.Subnet != subnet {
		t.Errorf("host %v is %s of %s, want %s of %s; waiting: %+v", m.self[0], own.State, own.Subnet, state, subnet, m.Waiting())
	}
}

func TestANewHostTakesThePreferredSubnetThatIsFree(t *testing.T) {
	net := newTestNet(t, 3)
	m := net.boot(9, net.disk(1), func(c *Config) { c.Prefer = []netip.Prefix{testSubnet(2), testSubnet(77)} })
	wantOwn(t, m, Held, testSubnet(77))
	if m.Own().Sequence != 4 {
		t.Errorf("its age is %d, want one more than that of the youngest", m.Own().Sequence)
	}
}

func TestAHostThatReachesNoMajorityAppliesNothingAndSaysForWhomItWaits(t *testing.T) {
	net := newTestNet(t, 3)
	net.cut[ID{2}], net.cut[ID{3}] = true, true
	m := net.boot(9, net.disk(1))
	wantOwn(t, m, Claiming, testSubnet(9))
	w := m.Waiting()
	if w.Granted != 1 || len(w.Silent) != 2 || w.Silent[0] != (ID{2}) || w.Silent[1] != (ID{3}) {
		t.Errorf("waiting: %+v", w)
	}
	delete(net.cut, ID{3})
	net.deliver(m.Retry())
	wantOwn(t, m, Held, testSubnet(9))
}

// Y is granted by 1, 2 and 3 and takes the subnet. X, granted by 4 and 5, is
// one short. When 1, 2 and 3 leave, X has two of two.
func TestAClaimIsGivenUpWhenItsSubnetTurnsOutToBeTaken(t *testing.T) {
	net := newTestNet(t, 5)
	same := func(c *Config) { c.Prefer = []netip.Prefix{testSubnet(99)} }
	disk := net.disk(1)
	net.cut[ID{4}], net.cut[ID{5}] = true, true
	y := net.boot(21, disk, same)
	net.cut = map[ID]bool{{1}: true, {2}: true, {3}: true, {21}: true}
	x := net.boot(20, disk, same)
	for i := byte(1); i <= 3; i++ {
		net.machines[ID{i}].Leave(false)
		net.deliver(x.Merge(net.disk(i)))
	}
	wantOwn(t, y, Held, testSubnet(99))
	if x.Holds() && x.Own().Subnet == testSubnet(99) {
		t.Error("two hosts hold one subnet")
	}
}

func TestDigestsOfDifferentTablesDiffer(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 100000 {
		a, b := testRecord(1, Held, testSubnet(1), 1), testRecord(2, Held, testSubnet(2), 2)
		for i := range a.Host {
			a.Host[i], b.Host[i] = byte(rng.Uint32()), byte(rng.Uint32())
		}
		later := func(r Record) Record { r.Version++; return r }
		if NewTable(a, later(b)).Digest() == NewTable(later(a), b).Digest() {
			t.Fatalf("tables that know other versions of %s and %s have one digest", a.Host, b.Host)
		}
	}
}

// 9 won the subnet over 11, whose claim died with it, and left to come back.
func TestAKeptLeaseIsNotLostToADeadClaim(t *testing.T) {
	net := newTestNet(t, 2)
	records := append(net.disk(1), testRecord(9, Left, testSubnet(99), 3), testRecord(11, Claiming, testSubnet(99), 0))
	net.boot(1, records)
	net.boot(2, records)
	net.boot(3, append(records, testRecord(3, Held, testSubnet(3), 4)))
	net.meet(net.machines[ID{1}], net.machines[ID{3}])
	net.meet(net.machines[ID{2}], net.machines[ID{3}])
	wantOwn(t, net.boot(9, records), Held, testSubnet(99))
}

func TestLeavingOnTheWayBackKeepsTheLease(t *testing.T) {
	net := newTestNet(t, 2)
	disk := append(net.disk(1), testRecord(9, Left, testSubnet(99), 3))
	net.cut[ID{1}], net.cut[ID{2}] = true, true
	m := net.boot(9, disk)
	wantOwn(t, m, Claiming, testSubnet(99))
	m.Leave(false)
	wantOwn(t, m, Left, testSubnet(99))
}

func TestAClaimantAsksAgainWhoHasTakenALeaseSince(t *testing.T) {
	net := newTestNet(t, 1)
	founder := net.machines[ID{1}]
	net.cut[ID{1}] = true
	b, c := net.boot(2, net.disk(1)), net.boot(3, net.disk(1))
	net.meet(b, c)
	x := net.boot(5, b.Table().Records())
	net.deliver(x.Merge([]Record{testRecord(4, Claiming, testSubnet(4), 0)})) // dead
	delete(net.cut, ID{1})
	net.deliver(b.Retry())
	net.deliver(c.Retry())
	net.meet(x, b)
	net.meet(x, c)
	net.meet(x, founder)
	net.deliver(x.Retry())
	wantOwn(t, x, Held, testSubnet(5))
}

func TestOfAllThatHaveLeftTheOldestComesBackByItself(t *testing.T) {
	net := newTestNet(t, 2)
	one, two := net.machines[ID{1}], net.machines[ID{2}]
	one.Leave(false)
	two.Merge(one.Table().Records())
	two.Leave(false)
	wantOwn(t, net.boot(2, net.disk(2)), Left, testSubnet(2)) // the oldest begins
	wantOwn(t, net.boot(1, append(net.disk(1), net.disk(2)...)), Held, testSubnet(1))
	net.meet(net.machines[ID{1}], net.machines[ID{2}])
	wantOwn(t, net.machines[ID{2}], Held, testSubnet(2))
}

// Its containers have addresses of the subnet that is on its disk.
func TestAHostWithAnOldStateFileAsksForTheSubnetThatItHasOnDisk(t *testing.T) {
	net := newTestNet(t, 3)
	old := net.disk(3)
	out, err := net.machines[ID{3}].Renumber(testSubnet(33))
	if err != nil {
		t.Fatal(err)
	}
	net.deliver(out)
	net.meet(net.machines[ID{3}], net.machines[ID{1}])
	version := net.machines[ID{3}].Own().Version

	restored := NewMachine(testConfig(3), old)
	net.machines[ID{3}] = restored
	restored.Merge(net.disk(1)) // it joins
	net.deliver(restored.Start())
	wantOwn(t, restored, Held, testSubnet(3))
	if restored.Own().Version <= version {
		t.Errorf("version %d, which is not newer than %d", restored.Own().Version, version)
	}
	net.deliver(restored.Merge(old)) // replayed
	wantOwn(t, restored, Held, testSubnet(3))
}

func TestAHostWithoutStateLearnsItsLeaseFromItsPeers(t *testing.T) {
	net := newTestNet(t, 3)
	m := NewMachine(testConfig(3), nil)
	net.machines[ID{3}] = m
	m.Merge(net.disk(1))
	net.deliver(m.Start())
	wantOwn(t, m, Held, testSubnet(3))
}

func TestRenumberingClaimsFirstAndLetsGoAfter(t *testing.T) {
	net := newTestNet(t, 3)
	net.cut[ID{1}], net.cut[ID{2}] = true, true
	m := net.machines[ID{3}]
	out, err := m.Renumber(testSubnet(33))
	if err != nil {
		t.Fatal(err)
	}
	net.deliver(out)
	wantOwn(t, m, Held, testSubnet(3))
	if m.Own().Next != testSubnet(33) {
		t.Errorf("it claims %s", m.Own().Next)
	}
	clear(net.cut)
	net.deliver(m.Retry())
	wantOwn(t, m, Held, testSubnet(33))
	// One asks for what another is being granted at the same time, and is
	// denied.
	net.deliver(net.machines[ID{1}].Merge([]Record{testRecord(7, Claiming, testSubnet(70), 0)}))
	out, err = m.Renumber(testSubnet(70))
	if err != nil {
		t.Fatal(err)
	}
	net.deliver(out)
	wantOwn(t, m, Held, testSubnet(33))
	for _, c := range []struct {
		to   netip.Prefix
		says string
	}{
		{testSubnet(33), "holds"},
		{testSubnet(1), "held by"},
		{netip.MustParsePrefix("10.1.2.0/24"), "not one of the subnets"},
	} {
		if _, err := m.Renumber(c.to); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("renumber to %s: %v, want an error that says %q", c.to, err, c.says)
		}
	}
}

func TestAForgottenHostFreesItsSubnetAndCountsNoMore(t *testing.T) {
	net := newTestNet(t, 4)
	net.cut[ID{3}], net.cut[ID{4}] = true, true // two of four are no majority
	m := net.boot(9, net.disk(1))
	wantOwn(t, m, Claiming, testSubnet(9))
	delete(net.cut, ID{4})
	net.deliver(net.machines[ID{1}].Forget(ID{3}))
	net.cut[ID{4}] = true
	net.meet(m, net.machines[ID{1}])
	wantOwn(t, m, Held, testSubnet(9))
}

func TestAForgottenHostThatComesBackGetsItsSubnetUnlessItIsTaken(t *testing.T) {
	for _, taken := range []bool{false, true} {
		net := newTestNet(t, 3)
		disk := net.disk(3)
		delete(net.machines, ID{3})
		for i := byte(1); i <= 2; i++ {
			net.deliver(net.machines[ID{i}].Forget(ID{3}))
		}
		if taken {
			net.boot(9, net.disk(1), func(c *Config) { c.Prefer = []netip.Prefix{testSubnet(3)} })
		}
		back := NewMachine(testConfig(3), disk)
		net.machines[ID{3}] = back
		back.Merge(net.disk(1))
		if taken {
			back.Merge(net.disk(9))
		}
		net.deliver(back.Start())
		if !taken {
			wantOwn(t, back, Held, testSubnet(3))
			continue
		}
		wantOwn(t, back, Forgotten, testSubnet(3))
		if w := back.Waiting(); !w.Exhausted || w.Only != testSubnet(3) {
			t.Errorf("it may take its own only: %+v", w)
		}
		out, err := back.Renumber(netip.Prefix{})
		if err != nil {
			t.Fatal(err)
		}
		net.deliver(out)
		if own := back.Own(); own.State != Held || own.Subnet == testSubnet(3) {
			t.Errorf("told to renumber, it is %s of %s", own.State, own.Subnet)
		}
	}
}

// A move that is not possible must not happen later, when nobody asks for it.
func TestAHostThatCouldNotMoveTakesItsOwnSubnetLater(t *testing.T) {
	net := newTestNet(t, 3)
	m := net.machines[ID{3}]
	for i, id := 0, byte(4); i < m.cfg.Pool.Len(); i++ { // nothing else is free
		if subnet := m.cfg.Pool.At(i); m.mayHave(subnet) && subnet != m.Own().Subnet {
			m.Merge([]Record{testRecord(id, Held, subnet, uint64(id))})
			id++
		}
	}
	if _, err := m.Renumber(netip.Prefix{}); err != nil {
		t.Fatal(err)
	}
	if m.Claiming() {
		t.Fatalf("it claims: %+v", m.Waiting())
	}
	if m.moves || m.requestedSubnet.IsValid() {
		t.Error("it still means to move")
	}
}

// A host that was forgotten is told to take a subnet, of which it does not know
// that another host has it.
func TestAHostWithoutALeaseThatIsDeniedAnotherSubnetComesBackToItsOwn(t *testing.T) {
	for _, taken := range []bool{false, true} {
		net := newTestNet(t, 3)
		disk := net.disk(3)
		delete(net.machines, ID{3})
		for i := byte(1); i <= 2; i++ {
			net.deliver(net.machines[ID{i}].Forget(ID{3}))
		}
		seen := net.disk(1)
		net.boot(8, seen)
		if taken {
			net.boot(9, seen, func(c *Config) { c.Prefer = []netip.Prefix{testSubnet(3)} })
			seen = append(seen, net.machines[ID{9}].Own())
		}
		back := NewMachine(testConfig(3), disk)
		net.machines[ID{3}] = back
		back.Merge(seen)
		net.cut[ID{1}], net.cut[ID{2}] = true, true // it asks in vain, until it is told
		net.deliver(back.Start())
		out, err := back.Renumber(testSubnet(8))
		if err != nil {
			t.Fatal(err)
		}
		clear(net.cut)
		net.deliver(out)
		if own := back.Own(); own.State != Forgotten || own.Subnet != testSubnet(3) || own.Sequence != 3 {
			t.Errorf("denied %s, it is %+v", testSubnet(8), own)
		}
		net.deliver(back.Retry())
		if taken {
			wantOwn(t, back, Forgotten, testSubnet(3))
		} else {
			wantOwn(t, back, Held, testSubnet(3))
		}
	}
}

func TestALeaseThatHasRunOutKeepsNoOneFromItsSubnet(t *testing.T) {
	net := newTestNet(t, 3)
	delete(net.machines, ID{3})
	for i := byte(1); i <= 2; i++ {
		net.deliver(net.machines[ID{i}].Expire(map[ID]bool{{3}: true}))
	}
	m := NewMachine(testConfig(9), nil)
	m.cfg.Fixed = testSubnet(3)
	net.machines[ID{9}] = m
	m.Merge(net.disk(1))
	m.Expire(map[ID]bool{{3}: true})
	net.deliver(m.Start())
	wantOwn(t, m, Held, testSubnet(3))
	if r, _ := m.Table().Get(ID{3}); r.State != Forgotten {
		t.Errorf("whose lease it was is %s, want forgotten", r.State)
	}
}

func TestAnExhaustedPoolIsWaitedForAndTakenWhenItFrees(t *testing.T) {
	net := newTestNet(t, 2)
	tiny := Pool{Prefix: netip.MustParsePrefix("172.17.0.0/16"), Bits: 17}
	var records []Record
	for i := byte(1); i <= 2; i++ {
		records = append(records, testRecord(i, Held, tiny.At(int(i-1)), uint64(i)))
	}
	in := func(c *Config) { c.Pool, c.Prefer = tiny, nil }
	net.boot(1, records, in)
	net.boot(2, records, in)
	m := net.boot(9, records, in)
	if w := m.Waiting(); m.Own().State == Claiming || !w.Exhausted {
		t.Errorf("with no subnet left: %+v, %+v", m.Own(), w)
	}
	net.machines[ID{2}].Leave(true)
	left := net.disk(2)
	delete(net.machines, ID{2})
	net.deliver(net.machines[ID{1}].Merge(left))
	net.deliver(m.Merge(left))
	net.deliver(m.Retry())
	wantOwn(t, m, Held, tiny.At(1))
}

func TestEveryHostNamesTheSameLoser(t *testing.T) {
	a, b, c := testRecord(1, Held, testSubnet(9), 5), testRecord(2, Held, testSubnet(9), 4), testRecord(3, Held, testSubnet(9), 5)
	for _, records := range [][]Record{{a, b, c}, {c, a, b}, {b, c, a}} {
		conflicts := NewTable(records...).Conflicts(nil)
		if len(conflicts) != 2 || conflicts[0].Winner != b || conflicts[0].Loser != a || conflicts[1].Winner != b || conflicts[1].Loser != c {
			t.Errorf("conflicts of %+v: %+v", records, conflicts)
		}
	}
}

func TestTheOperatorsNewBipIsClaimedAndTheOldOneKeptUntilThen(t *testing.T) {
	net := newTestNet(t, 3)
	m := net.boot(3, net.disk(3), func(c *Config) { c.Fixed = testSubnet(44) })
	wantOwn(t, m, Held, testSubnet(44))
}

// A host renumbers where only 1 hears of it; 2, cut off, forgets it by the
// subnet that it had.
func TestAHostThatRenumberedAndWasForgottenComesBackToItsNewSubnet(t *testing.T) {
	net := newTestNet(t, 4)
	m := net.machines[ID{4}]
	net.cut[ID{3}] = true
	out, err := m.Renumber(testSubnet(44))
	if err != nil {
		t.Fatal(err)
	}
	net.deliver(out)
	wantOwn(t, m, Held, testSubnet(44))
	net.deliver(net.machines[ID{3}].Forget(ID{4}))
	clear(net.cut)
	net.meet(m, net.machines[ID{3}])
	wantOwn(t, m, Held, testSubnet(44))
}
