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

// Node is this host's membership in the mesh. Create it with [New].
type Node struct {
	cfg            Config
	self           lease.ID
	store          store
	delegate       *delegate
	list           *memberlist.Memberlist // set by Run before it starts any goroutine
	wire           memberlist.Transport   // nil: use the network; tests set a simulated transport
	network        *network               // set by Run; nil if wire is set
	started        time.Time
	requests       chan request
	rejoinRequests chan netip.AddrPort                    // addresses of hosts that regard this host as alive but are not alive here
	publish        chan struct{}                          // signals that this host's own metadata has changed
	offers         atomic.Pointer[map[lease.ID]mesh.Pair] // set by PublishOffers
	offersChanged  chan struct{}                          // signals that offers or directAllowed has changed
	paths          atomic.Pointer[map[netip.Addr]int]     // set by Measured; bytes
	measured       chan struct{}                          // signals that paths has changed
	tunnels        atomic.Pointer[mesh.TunnelCount]
	directAllowed  atomic.Bool // set by SetDirectAllowed
	view           atomic.Pointer[mesh.View]
	changed        chan struct{}
	met            chan struct{} // closed when this host has joined others, or continues without them
	ready          chan struct{}
	stopped        chan struct{}                       // closed when no goroutine serves requests any more
	missingPeers   atomic.Pointer[[]missing]           // hosts that should be alive; the most recently seen first
	newcomer       bool                                // this host was in no mesh when it started
	seedsAt        atomic.Pointer[map[netip.Addr]bool] // all addresses to which seeds have resolved
	limitsAt       atomic.Int64                        // when noteLimited last reported a connection, in Unix nanoseconds
	joinError      atomic.Pointer[string]              // the reason why no host could be joined; nil: none
	outgoing       sync.WaitGroup                      // sends and joins in progress
	surveys        *surveys
	seeking        *search

	// The goroutine of eventLoop owns the fields below.
	mesh              string
	machine           *lease.Machine
	persistedOwn      lease.Record        // the own record on disk; only this record may be applied
	members           map[lease.ID]member // hosts that memberlist regards as alive; see isAlive
	presences         map[lease.ID]presence
	answered          map[lease.ID]time.Time // when this host last answered a challenge from each member
	challenges        map[lease.ID]*challenge
	stashed           int    // number of records that wait until their sender answers a challenge
	stamp             uint64 // see signature
	life              uint64 // see meta
	carries           func(lease.ID) bool
	forcedBy          map[lease.ID][]lease.ID // the hosts that the operator of each other host removed by force
	forgetting        int                     // number of Forget requests in progress
	completed         time.Time               // when completeForced last tried to complete removals by force
	takesPart         bool                    // startLeasing was called
	offerNumber       uint64                  // the number of the last offers that were sent
	sentOffers        map[lease.ID]offer      // the offer last sent to each host
	receivedOffers    map[lease.ID]mesh.Pair  // the state of each tunnel as its other end last reported it
	sightingsDirty    bool                    // sightings have changed; the next comparison of tables writes them to disk
	sightings         sightings
	problems          *problems
	newcomers         []member       // new members that do not have this host's lease yet
	pendingBroadcasts []lease.Record // records to broadcast
	dirty             bool           // the state on disk is out of date
	conflict          time.Time      // when this host lost a conflict; zero: there is no conflict
	viewDirty         bool           // something has arrived since the last refresh
	refreshed         time.Time      // time of the last refresh
	exhaustedLogged   bool           // the log already says that no subnet is free
	left              bool           // this host has left the mesh and grants nothing any more
	leavePending      bool           // this host has left, and its peers may not know it
	uptimeBonus       time.Duration  // added to the uptime, so that this process wins against a duplicate with a similar uptime

	settings          settings.Record // the newest record known
	persistedSettings settings.Record // the record on disk; only this record may be applied
	publishedSettings uint64          // digest of the record last sent to the members
	// The settings and problems that Config.Found returned for a mesh that this
	// host creates. They are written before met is closed.
	founding         []settings.Value
	foundingProblems []mesh.Problem
}

// New prepares the membership and starts nothing. It reads the state directory.
// If the directory holds no identity, New creates one and writes it to disk.
func New(cfg Config) (*Node, error) {
	n := &Node{
		cfg: cfg, store: store{cfg.Dir}, started: time.Now(),
		requests: make(chan request), rejoinRequests: make(chan netip.AddrPort, 1), publish: make(chan struct{}, 1), changed: make(chan struct{}, 1), met: make(chan struct{}), ready: make(chan struct{}), stopped: make(chan struct{}),
		presences: make(map[lease.ID]presence), answered: make(map[lease.ID]time.Time), challenges: make(map[lease.ID]*challenge), forcedBy: make(map[lease.ID][]lease.ID),
		stamp: newStamp(), members: make(map[lease.ID]member), sentOffers: make(map[lease.ID]offer), receivedOffers: make(map[lease.ID]mesh.Pair),
		offersChanged: make(chan struct{}, 1), measured: make(chan struct{}, 1), problems: newProblems(), surveys: newSurveys(), seeking: newSearch(),
	}
	n.directAllowed.Store(cfg.DirectAllowed)
	st, err := n.store.load()
	if err != nil {
		return nil, err
	}
	if st.damaged != nil {
		// A host that lost its promises must not create a mesh and must not
		// continue alone, because its peers know its lease.
		cfg.Log.Error("learn this host's lease again from its peers", "err", st.damaged)
		n.problems.set("state", mesh.Problem{
			What: st.damaged.Error() + "; this host waits to learn its lease from its peers",
			Do:   "nothing, if it has peers; if it is the only host of its mesh, remove state_dir/id to start as a new host",
		}, problemTTL)
		n.cfg.Bootstrap = false
	}
	if !n.cfg.Bootstrap && len(cfg.Seeds) > 0 && st.knowsNoPeers() {
		st.Mesh, st.Records, st.Settings = "", nil, nil // give up this host's own mesh for the mesh of the seeds
	}
	n.newcomer = st.Mesh == "" && st.damaged == nil && st.knowsNoPeers()
	n.self, n.mesh, n.sightings, n.leavePending = st.Host, st.Mesh, st.Sightings, st.LeavePending
	if n.sightings == nil {
		n.sightings = make(sightings)
	}
	if n.settings, err = knownSettings(st, cfg); err != nil {
		return nil, err
	}
	n.persistedSettings, n.publishedSettings = n.settings, n.settings.Digest()
	n.machine = lease.NewMachine(lease.Config{
		Self: n.self, Name: cfg.Name, Underlay: cfg.Underlay, Pool: cfg.Settings.Pool,
		Fixed: cfg.Fixed, Prefer: cfg.Prefer, Founder: n.cfg.Bootstrap, Lost: st.damaged != nil, Objection: n.objection,
	}, st.Records)
	own := n.sightings.get(n.self)
	n.life = newLife(own.Life, time.Now())
	own.Life = n.life
	n.offerNumber = n.life << 20
	n.persistedOwn = n.machine.Own()
	adapt := cfg.Adapt && n.mesh == "" && !n.cfg.Bootstrap
	n.delegate = &delegate{self: n.self, pool: cfg.Settings.Pool, adapt: adapt, inbox: newInbox()}
	n.delegate.news = &memberlist.TransmitLimitedQueue{NumNodes: func() int { return n.list.NumMembers() }, RetransmitMult: retransmitMult}
	first := meta{
		Protocol: protocol, Mesh: n.mesh, Name: cfg.Name, Pool: cfg.Settings.Pool.Prefix, Bits: cfg.Settings.Pool.Bits,
		Direct: n.directNetwork(), Life: n.life,
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

// publishState sets the state that other hosts get in a push/pull exchange. The
// records must be on disk.
func (n *Node) publishState(records []lease.Record) {
	p := n.sign(packet{Mesh: n.mesh, Records: records, Settings: n.settingsToPublish()})
	if hosts := n.forcedHosts(); len(hosts) > 0 {
		p.Forced = &forced{Hosts: hosts}
	}
	n.delegate.state.Store(&p)
}

// ID returns this host's identity.
func (n *Node) ID() lease.ID { return n.self }

// View returns the current view of the mesh. Any goroutine may call it.
func (n *Node) View() mesh.View { return *n.view.Load() }

// Changed returns a channel that signals that View may have changed. It serves
// only one receiver.
func (n *Node) Changed() <-chan struct{} { return n.changed }

// Ready returns a channel that is closed in one of two cases. Either this host
// has joined others and may take leases, or it has tried long enough and
// continues with the lease that it holds. By then the View contains everything
// that the other hosts know of this host's lease.
func (n *Node) Ready() <-chan struct{} { return n.ready }

// Report publishes how many tunnels this host should have and how many are up.
func (n *Node) Report(count mesh.TunnelCount) {
	if old := n.tunnels.Swap(&count); *old != count {
		notify(n.publish)
	}
}

// SetDirectAllowed publishes whether packets that arrive without a tunnel now
// reach this host's containers.
func (n *Node) SetDirectAllowed(allowed bool) {
	if n.directAllowed.Swap(allowed) != allowed {
		notify(n.offersChanged)
		notify(n.publish)
	}
}

// directNetwork returns the underlay network from which this host now accepts
// packets without a tunnel. It returns the zero prefix if there is none.
func (n *Node) directNetwork() netip.Prefix {
	if !n.directAllowed.Load() {
		return netip.Prefix{}
	}
	return n.cfg.Direct
}

// Run takes part in the mesh until ctx ends. It does not leave the mesh, so the
// other hosts see this host as failed afterwards. It waits for all its
// goroutines before it returns.
//
// Run returns [RefusedError] if this host and the mesh are not compatible. It
// returns [PoolError] if the mesh has another pool and the own pool is only a
// default. Both occur only before Ready. It returns [DuplicateIDError] if
// another live host has the same ID.
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
		return n.eventLoop(ctx)
	})
	group.Go(func() error { return n.joinLoop(ctx) })
	group.Go(func() error { return n.advertiseLoop(ctx) })
	group.Go(func() error { return n.surveyLoop(ctx) })
	for range answersAtOnce {
		group.Go(func() error { return n.reportLoop(ctx) })
	}
	return group.Wait()
}

// listen opens the transport and starts memberlist. From then on other hosts
// can join this host.
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

// countEvery is the minimum interval between two publications of the tunnel
// count. While a mesh forms, the count changes with each tunnel.
const countEvery = 500 * time.Millisecond

// advertiseLoop publishes this host's metadata whenever it changes. It runs in
// its own goroutine, because memberlist may take up to a second for an update.
func (n *Node) advertiseLoop(ctx context.Context) error {
	var due <-chan time.Time
	for {
		select {
		case <-n.publish:
			cur, prev := n.currentMeta(), *n.delegate.meta.Load()
			if cur.MTU == prev.MTU && cur.Direct == prev.Direct && cur.Mesh == prev.Mesh {
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
		next := n.currentMeta()
		n.delegate.meta.Store(&next)
		if err := n.list.UpdateNode(time.Second); err != nil {
			n.cfg.Log.Debug("publish own state", "err", err)
		}
	}
}

// currentMeta returns this host's current metadata.
func (n *Node) currentMeta() meta {
	m := *n.delegate.meta.Load()
	m.Tunnels, m.MTU, m.Direct, m.Mesh = *n.tunnels.Load(), n.lowestPath(), n.directNetwork(), n.View().Mesh
	if m.Mesh != "" {
		m.Pool, m.Bits = n.cfg.Settings.Pool.Prefix, n.cfg.Settings.Pool.Bits
	}
	return m
}
