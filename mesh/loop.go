package mesh

import (
	"context"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gremesh/gremesh/bridge"
	"github.com/gremesh/gremesh/bridge/docker"
	"github.com/gremesh/gremesh/bridge/filter"
	"github.com/gremesh/gremesh/mesh/events"
	"github.com/gremesh/gremesh/mesh/lease"
	"github.com/gremesh/gremesh/mesh/reconcile"
	"github.com/gremesh/gremesh/ovsdb"
)

// LoopConfig configures a Loop: the settings of this host and the components
// that it reconciles.
type LoopConfig struct {
	Config
	Version    string
	Membership Membership
	Switch     Switch
	Kernel     Kernel
	Docker     Docker
	NAT        NAT
	Prober     Prober     // nil: paths are not probed, and only BFD shows which tunnels are up
	Masquerade Masquerade // replaces Config.NAT, which is ignored
	History    History
	Ages       Ages
	Networks   Networks // nil: Docker networks are shown by their ID
	DockerRan  Mark     // a dockerd has run since the last boot; nil: not recorded
	Memory     *Memory
	Log        *slog.Logger
	// Ready is called once, from Run's goroutine. The call comes after the
	// first pass with a lease, or earlier if that pass restarts Docker: then
	// before the restart. systemd delays the start of Docker until Ready, so
	// that Docker starts with the bip.
	Ready func()
}

// Loop reconciles one host.
type Loop struct {
	cfg     LoopConfig
	started time.Time
	last    atomic.Pointer[outcome]
	busy    sync.Mutex // held while observing or applying

	paths   *directPaths
	retries *retries
	changes atomic.Uint64
	decided atomic.Pointer[map[lease.ID]string] // tunnel types of the pairs that this host decides for

	// Guarded by busy.
	networks networkNames
	rushed   int                    // consecutive passes that ended after the switch
	down     map[lease.ID]time.Time // since when a silent peer's BFD session has not been up; zero: it is up
	silent   map[lease.ID]silence   // silent ports to peers that are alive
	subnet   netip.Prefix           // the subnet that this host held in the last pass
	taken    bool                   // this host has taken a subnet since the start of the agent
	anew     time.Time              // last time that a pass read again the state for which there are no events
	open     bool                   // Docker accepts packets that arrive without a tunnel
	nats     bool                   // a running dockerd masquerades packets that take no tunnel
	hides    bool                   // no rule exempts packets from that

	events  *events.Tracker
	tracked trackedPass

	held       string // why a restart of Docker waits; empty: it does not
	restartFor atomic.Pointer[docker.Settings]
	ready      sync.Once

	patience time.Time // Docker's first restart waits at most until then for path measurements
	met      int       // number of peers that the last pass knew
	metAt    time.Time // since when there are that many

	probed      pathsSeen
	fallbacks   *fallbacks   // guarded by busy
	cut         *switchScene // Open vSwitch after this host lost its lease, until it is in order again; nil: it did not
	ovsSeen     *ovsObserved
	kernelSeen  *bridge.State // in this pass, since the last change; nil: not observed
	joined      netip.Prefix  // with this bip docker0 was last in the mesh
	seen        seen
	mends       *mends // of the current pass
	engine      *reconcile.Engine[Desired]
	filter      *filter.Component[Desired]
	desired     desired // of the current pass, for engine
	here        here    // guarded by busy
	undisturbed bool    // since the last pass, no event was about Docker, the packet filter or the kernel
}

// outcome is the result of the last pass.
type outcome struct {
	ports    func() map[string]ovsdb.Port // gremesh's ports by peer ID; nil: they were not observed
	ovs      string                       // up or down, see HostStatus
	keep     Keep
	blocked  map[lease.ID][]string // tunnel types that do not get through
	filtered []Problem             // about blocked
	paths    []Problem             // about paths that carry nothing although their tunnels are up
	problems []Problem             // of the pass itself, without those of the view
	since    map[string]time.Time  // start of each problem, by its What
	pending  []string              // in progress, see Status
	guard    string                // how packets from the tunnels are checked
}

// port returns gremesh's port to a peer.
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

// NewLoop returns a Loop. It starts nothing.
func NewLoop(cfg LoopConfig) *Loop {
	l := &Loop{
		cfg: cfg, started: time.Now(), networks: networkNames{list: cfg.Networks}, paths: newDirectPaths(), retries: newRetries(),
		down: make(map[lease.ID]time.Time), events: cfg.Memory.events,
		fallbacks: newFallbacks(cfg.in(cfg.Membership.View()).Tunnel), patience: time.Now().Add(measuredBy),
		here:   here{settled: true},
		subnet: cfg.Membership.View().Self.Subnet, // a lease from the saved state is no change
	}
	l.cfg.Memory.restarter.Use(l.restartDocker, dockerRan{l})
	l.engine = l.newEngine()
	l.noteJoined()
	l.cfg.Memory.engine = l.engine
	l.last.Store(&outcome{})
	// The peers that are known from an earlier run cause no events.
	l.events.Next(l.started, snapshot(cfg.Membership.View(), l.last.Load(), false, nil), nil)
	l.decided.Store(&map[lease.ID]string{})
	l.cfg.Membership = watched{cfg.Membership, l.paths}
	return l
}

// Run makes passes until ctx ends. A pass starts whenever something may have
// changed, and every 30 s. After a failed pass, Run ignores events for up to a
// second.
//
// When Run ends, everything that it configured stays. A restart of Docker that
// is in progress continues, see Memory.
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

func (l *Loop) beReady() { l.ready.Do(l.cfg.Ready) }
