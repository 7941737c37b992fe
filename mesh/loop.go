package mesh

import (
	"context"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gremesh/gremesh/mesh/events"
	"github.com/gremesh/gremesh/mesh/lease"
	"github.com/gremesh/gremesh/ovsdb"
)

// LoopConfig is what a Loop keeps, and the parts that it keeps it with.
type LoopConfig struct {
	Config
	Version    string
	Membership Membership
	Switch     Switch
	Kernel     Kernel
	Docker     Docker
	NAT        NAT
	Prober     Prober     // nil: paths are not probed, and BFD alone tells which tunnels are up
	Masquerade Masquerade // what is in Config of it is not looked at
	History    History
	Ages       Ages
	Networks   Networks // nil: Docker networks are shown by their ID
	DockerRan  Mark     // a dockerd has run since the boot; nil: not recorded
	Memory     *Memory
	Log        *slog.Logger
	// Ready is called once, from Run's goroutine: after the first pass with a
	// lease, or before Docker is restarted in it. systemd holds Docker back
	// until then, so that it starts with the bip.
	Ready func()
}

// Loop keeps one host as it should be.
type Loop struct {
	cfg     LoopConfig
	started time.Time
	last    atomic.Pointer[outcome]
	busy    sync.Mutex // held by whoever observes or applies

	restarts *restarts
	paths    *directPaths
	retries  *retries
	changes  atomic.Uint64
	decided  atomic.Pointer[map[lease.ID]string] // types of the tunnels that are this host's to decide

	// Guarded by busy.
	networks networkNames
	rushed   int // passes in a row that ended with the switch
	ready    bool
	down     map[lease.ID]time.Time // since when a silent peer's BFD session is not up; zero: it is
	silent   map[lease.ID]silence   // of the tunnels to peers that are alive
	subnet   netip.Prefix           // that the last pass saw this host hold
	taken    bool                   // it has got one since the agent was started
	anew     time.Time              // when a pass last looked at what gives no notice
	open     bool                   // Docker lets packets through that come without a tunnel
	nats     bool                   // a dockerd runs, which masquerades what takes no tunnel
	hides    bool                   // and nothing keeps it from that
	fights   *fights

	events  *events.Tracker
	tracked trackedPass

	patience time.Time // until when Docker's first restart waits for the paths to be measured
	met      int       // peers that the last pass knew of
	metAt    time.Time // since when they are so many

	probed      pathsSeen
	fallbacks   *fallbacks // guarded by busy
	scenes      *scenes
	seen        seen
	here        here // guarded by busy
	undisturbed bool // nothing has said since the last pass that Docker, the packet filter or the kernel may have changed
}

// scenes are the parts as they were when last they were in order; nil: never
// yet.
type scenes struct {
	ovs    *switchScene
	docker *dockerScene
	host   *hostScene
	nat    *natScene
}

// outcome is what the last pass saw and left.
type outcome struct {
	ports    func() map[string]ovsdb.Port // ours, by the peer's ID; nil: they were not seen
	ovs      string                       // up or down, see HostStatus
	keep     Keep
	blocked  map[lease.ID][]string // types that do not get through
	filtered []Problem             // about those
	paths    []Problem             // about paths that carry nothing although their tunnels are up
	problems []Problem             // the pass's own, without those of the view
	since    map[string]time.Time  // since when each problem exists, by its What
	pending  []string              // under way, see Status
	guard    string                // by what packets out of the tunnels are judged
}

// port is the one of ours that leads to a peer.
func (o *outcome) port(peer string) (port ovsdb.Port, is bool) {
	if o.ports == nil {
		return port, false
	}
	port, is = o.ports()[peer]
	return port, is
}

const (
	maxRushed    = 5
	resyncEvery  = 30 * time.Second
	firstBackoff = 100 * time.Millisecond
	lastBackoff  = 10 * time.Second
	partTimeout  = 15 * time.Second // for each of Open vSwitch, daemon.json, the packet filter and the kernel
)

// NewLoop starts nothing.
func NewLoop(cfg LoopConfig) *Loop {
	l := &Loop{
		cfg: cfg, started: time.Now(), networks: networkNames{list: cfg.Networks}, restarts: cfg.Memory.restarts, scenes: &cfg.Memory.scenes, paths: newDirectPaths(), retries: newRetries(),
		down: make(map[lease.ID]time.Time), fights: newFights(), events: cfg.Memory.events,
		fallbacks: newFallbacks(cfg.in(cfg.Membership.View()).Tunnel), patience: time.Now().Add(measuredBy),
		here:   here{settled: true},
		subnet: cfg.Membership.View().Self.Subnet, // what it holds by its state is no change
	}
	l.last.Store(&outcome{})
	// The peers that this host knows from before are no news.
	l.events.Next(l.started, snapshot(cfg.Membership.View(), l.last.Load(), false, nil), nil)
	l.decided.Store(&map[lease.ID]string{})
	l.cfg.Membership = watched{cfg.Membership, l.paths}
	return l
}

// Run makes passes until ctx ends: whenever something may have changed, and
// every 30 s; after one that failed, not before a pause of up to a second. What it has made stays
// when it ends, and a restart of Docker that is under way goes on: see Memory.
func (l *Loop) Run(ctx context.Context) error {
	if l.cfg.Direct {
		var paths sync.WaitGroup
		defer paths.Wait()
		paths.Go(func() { l.watchPaths(ctx) })
	}
	backoff := firstBackoff
	for {
		began := time.Now()
		ok, again := l.pass(ctx)
		l.cfg.Log.Debug("pass", "took", time.Since(began), "ok", ok)
		if ok {
			backoff = firstBackoff
			ok = l.sleep(ctx, time.Until(again))
		} else {
			ok = l.rest(ctx, backoff)
			backoff = min(2*backoff, lastBackoff)
		}
		if !ok {
			return nil
		}
	}
}

func (l *Loop) beReady() {
	if !l.ready {
		l.cfg.Ready()
	}
	l.ready = true
}
