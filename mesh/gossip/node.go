package gossip

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"
	"golang.org/x/sync/errgroup"

	"github.com/gremesh/gremesh/mesh"
	"github.com/gremesh/gremesh/mesh/lease"
	"github.com/gremesh/gremesh/mesh/settings"
)

// Node is this host's membership in the mesh.
type Node struct {
	cfg      Config
	self     lease.ID
	store    store
	delegate *delegate
	list     *memberlist.Memberlist // set by Run before anything else runs
	wire     memberlist.Transport   // nil for the network; a simulated one in tests
	network  *network               // set by Run; nil where wire is set
	started  time.Time
	requests chan request
	hails    chan netip.AddrPort                    // hosts that take us for alive, and are not alive here
	publish  chan struct{}                          // what we say of ourselves has changed
	agreed   atomic.Pointer[map[lease.ID]mesh.Pair] // see Agree
	repair   chan struct{}                          // agreed or open has changed
	paths    atomic.Pointer[map[netip.Addr]int]     // see Measured
	measured chan struct{}                          // paths have changed
	tunnels  atomic.Pointer[mesh.TunnelCount]
	open     atomic.Bool // see Open
	view     atomic.Pointer[mesh.View]
	changed  chan struct{}
	met      chan struct{} // closed when others have been joined, or it goes on without
	ready    chan struct{}
	stopped  chan struct{}                       // closed when nobody serves requests any more
	absent   atomic.Pointer[[]missing]           // the last seen first
	newcomer bool                                // was in no mesh when it started
	seedsAt  atomic.Pointer[map[netip.Addr]bool] // where seeds have been
	limitsAt atomic.Int64                        // see limited
	silence  atomic.Pointer[string]              // why no one could be joined
	outgoing sync.WaitGroup                      // sends and joins under way
	surveys  *surveys
	seeking  *search

	// Owned by the goroutine of own.
	mesh       string
	machine    *lease.Machine
	kept       lease.Record        // the own record as it is on disk: nothing else may be applied
	members    map[lease.ID]member // whom gossip finds alive; see isAlive
	presences  map[lease.ID]presence
	answered   map[lease.ID]time.Time // when a challenge of each member was answered last
	challenges map[lease.ID]*challenge
	stashed    int    // records that wait for challenges to be answered
	stamp      uint64 // see signature
	life       uint64 // see meta
	carries    func(lease.ID) bool
	forcedBy   map[lease.ID][]lease.ID // whom the operators of others have removed by force
	forgetting int                     // requests to forget a host that are under way
	completed  time.Time               // when removals by force were last tried to be completed
	takes      bool                    // this host takes part, see takePart
	numbered   uint64                  // of the last pairings
	pairs      map[lease.ID]pairing    // that were told to their other ends
	told       map[lease.ID]mesh.Pair  // what the other ends have told
	noted      bool                    // sightings have something new to be kept, which has time
	sightings  sightings
	problems   *problems
	newcomers  []member       // to be told of our lease
	spread     []lease.Record // to be told by gossip
	dirty      bool           // what is on disk is out of date
	conflict   time.Time      // since when this host has lost one; zero: it has not
	touched    bool           // something has come since the view was made
	refreshed  time.Time      // when that was
	stuck      bool           // has said that no subnet is left to it
	left       bool           // said goodbye, and promises nothing any more
	untold     bool           // this host has left, and its peers may not know
	seniority  time.Duration  // over a twin that has been running for as long

	settings     settings.Record // as it is known
	keptSettings settings.Record // as it is on disk: nothing else may be applied
	toldSettings uint64          // digest of the record that the members were told last
	// What Found says of a mesh that this host creates. Written before met is closed.
	founding         []settings.Value
	foundingProblems []mesh.Problem
}

// New prepares the membership and starts nothing. It gives a host without an
// identity a new one.
func New(cfg Config) (*Node, error) {
	n := &Node{
		cfg: cfg, store: store{cfg.Dir}, started: time.Now(),
		requests: make(chan request), hails: make(chan netip.AddrPort, 1), publish: make(chan struct{}, 1), changed: make(chan struct{}, 1), met: make(chan struct{}), ready: make(chan struct{}), stopped: make(chan struct{}),
		presences: make(map[lease.ID]presence), answered: make(map[lease.ID]time.Time), challenges: make(map[lease.ID]*challenge), forcedBy: make(map[lease.ID][]lease.ID),
		stamp: newStamp(), members: make(map[lease.ID]member), pairs: make(map[lease.ID]pairing), told: make(map[lease.ID]mesh.Pair),
		repair: make(chan struct{}, 1), measured: make(chan struct{}, 1), problems: newProblems(), surveys: newSurveys(), seeking: newSearch(),
	}
	n.open.Store(cfg.Open)
	st, err := n.store.load()
	if err != nil {
		return nil, err
	}
	if st.damaged != nil {
		// Whoever lost what it promised must not found anything, nor go on
		// alone: its peers know its lease.
		cfg.Log.Error("learn this host's lease again from its peers", "err", st.damaged)
		n.problems.set("state", mesh.Problem{
			What: st.damaged.Error() + "; this host waits to learn its lease from its peers",
			Do:   "nothing, if it has peers; if it is the only host of its mesh, remove state_dir/id to start as a new host",
		}, unlessAgain)
		n.cfg.Bootstrap = false
	}
	if !n.cfg.Bootstrap && len(cfg.Seeds) > 0 && st.solitary() {
		st.Mesh, st.Records, st.Settings = "", nil, nil // a mesh of its own, given up for that of the seeds
	}
	n.newcomer = st.Mesh == "" && st.damaged == nil && st.solitary()
	n.self, n.mesh, n.sightings, n.untold = st.Host, st.Mesh, st.Sightings, st.Untold
	if n.sightings == nil {
		n.sightings = make(sightings)
	}
	if n.settings, err = knownSettings(st, cfg); err != nil {
		return nil, err
	}
	n.keptSettings, n.toldSettings = n.settings, n.settings.Digest()
	n.machine = lease.NewMachine(lease.Config{
		Self: n.self, Name: cfg.Name, Underlay: cfg.Underlay, Space: cfg.Settings.Space,
		Fixed: cfg.Fixed, Prefer: cfg.Prefer, Founder: n.cfg.Bootstrap, Lost: st.damaged != nil, Objection: n.objection,
	}, st.Records)
	own := n.sightings.of(n.self)
	n.life = newLife(own.Life, time.Now())
	own.Life = n.life
	n.numbered = n.life << 20
	n.kept = n.machine.Own()
	adapt := cfg.Adapt && n.mesh == "" && !n.cfg.Bootstrap
	n.delegate = &delegate{self: n.self, space: cfg.Settings.Space, adapt: adapt, inbox: newInbox()}
	n.delegate.news = &memberlist.TransmitLimitedQueue{NumNodes: func() int { return n.list.NumMembers() }, RetransmitMult: retransmitMult}
	first := meta{
		Protocol: protocol, Mesh: n.mesh, Name: cfg.Name, Pool: cfg.Settings.Space.Pool, Bits: cfg.Settings.Space.Bits,
		Direct: n.within(), Life: n.life,
	}
	if adapt {
		first.Pool, first.Bits = netip.Prefix{}, 0
	}
	n.delegate.meta.Store(&first)
	for id, one := range n.sightings {
		n.delegate.lives.Store(id, one.Life)
	}
	n.publishState(st.Records)
	n.tunnels.Store(&mesh.TunnelCount{})
	n.refresh()
	return n, nil
}

// publishState sets what other hosts get when they exchange state with this
// one. It must be durable.
func (n *Node) publishState(records []lease.Record) {
	p := n.sign(packet{Mesh: n.mesh, Records: records, Settings: n.settingsToTell()})
	if hosts := n.forcedHosts(); len(hosts) > 0 {
		p.Forced = &forced{Hosts: hosts}
	}
	n.delegate.state.Store(&p)
}

// ID is this host's identity.
func (n *Node) ID() lease.ID { return n.self }

// View returns the mesh as known now.
func (n *Node) View() mesh.View { return *n.view.Load() }

// Changed signals that View may have changed. Only one receiver is served.
func (n *Node) Changed() <-chan struct{} { return n.changed }

// Ready is closed once the host has met others and knows that it may take
// part, or has tried long enough that what it already holds counts. What they
// know of its lease is in the View by then.
func (n *Node) Ready() <-chan struct{} { return n.ready }

// Report tells the mesh how many tunnels of this host there should be, and are.
func (n *Node) Report(count mesh.TunnelCount) {
	if old := n.tunnels.Swap(&count); *old != count {
		notify(n.publish)
	}
}

// Open tells the mesh whether packets that come without a tunnel get through to
// this host's containers now.
func (n *Node) Open(open bool) {
	if n.open.Swap(open) != open {
		notify(n.repair)
		notify(n.publish)
	}
}

// within is the underlay network from which this host takes such packets now.
func (n *Node) within() netip.Prefix {
	if !n.open.Load() {
		return netip.Prefix{}
	}
	return n.cfg.Direct
}

// Run takes part in the mesh until ctx ends, without a goodbye: to the others
// this host then has failed. It ends with an error when this host and the mesh
// do not go together: [RefusedError], before Ready only, or [TwinError].
func (n *Node) Run(ctx context.Context) error {
	list, err := n.listen()
	if err != nil {
		close(n.stopped)
		return fmt.Errorf("listen for gossip on %s: %w", n.cfg.Underlay, err)
	}
	n.list = list
	defer n.outgoing.Wait()
	defer func() { _ = list.Shutdown() }()

	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer close(n.stopped)
		return n.own(ctx)
	})
	group.Go(func() error { return n.meet(ctx) })
	group.Go(func() error { return n.announce(ctx) })
	group.Go(func() error { return n.inquire(ctx) })
	for range answersAtOnce {
		group.Go(func() error { return n.answer(ctx) })
	}
	return group.Wait()
}

// listen makes this host one that others can join.
func (n *Node) listen() (*memberlist.Memberlist, error) {
	wire := n.wire
	if wire == nil {
		var err error
		if n.network, err = listen(n.networkConfig()); err != nil {
			return nil, err
		}
		wire = n.network
	}
	return memberlist.Create(n.memberlistConfig(wire))
}

// alone reports whether no other host is alive.
func (n *Node) alone() bool { return n.list.NumMembers() <= 1 }

// countEvery is how often at most it is said how many tunnels there are, which
// nobody does anything for. As a mesh forms, the number changes with each of
// them, and each host is told of each change of each other.
const countEvery = 500 * time.Millisecond

// announce publishes what we say of ourselves; memberlist may take its time.
func (n *Node) announce(ctx context.Context) error {
	var due <-chan time.Time
	for {
		select {
		case <-n.publish:
			is, was := n.says(), *n.delegate.meta.Load()
			if is.MTU == was.MTU && is.Direct == was.Direct && is.Mesh == was.Mesh {
				if due == nil {
					due = time.After(countEvery)
				}
				continue
			}
		case <-due:
		case <-ctx.Done():
			return nil
		}
		due = nil
		next := n.says()
		n.delegate.meta.Store(&next)
		if err := n.list.UpdateNode(time.Second); err != nil {
			n.cfg.Log.Debug("publish own state", "err", err)
		}
	}
}

// says is what this host says of itself now.
func (n *Node) says() meta {
	m := *n.delegate.meta.Load()
	m.Tunnels, m.MTU, m.Direct, m.Mesh = *n.tunnels.Load(), n.lowestPath(), n.within(), n.View().Mesh
	if m.Mesh != "" {
		m.Pool, m.Bits = n.cfg.Settings.Space.Pool, n.cfg.Settings.Space.Bits
	}
	return m
}
