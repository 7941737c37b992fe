package mesh

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

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

	// Guarded by busy.
	rushed int // passes in a row that ended with the switch
	ready  bool
	down   map[lease.ID]time.Time // since when a silent peer's BFD session is not up; zero: it is
	silent map[string]time.Time   // since when nothing comes by the tunnel of a peer that is alive, by its ID
	failed map[string]bool        // what the last pass failed with
}

// outcome is what the last pass saw and left.
type outcome struct {
	ports    map[string]ovsdb.Port // ours, by name
	keep     Keep
	problems []Problem // the pass's own, without those of the view
}

const (
	maxRushed    = 5
	resyncEvery  = 30 * time.Second
	quiet        = 10 * time.Millisecond  // without a further event, a pass begins
	impatience   = 100 * time.Millisecond // after the first event, a pass begins anyway
	firstBackoff = 100 * time.Millisecond
	lastBackoff  = 10 * time.Second
	partTimeout  = 15 * time.Second // for each of Open vSwitch, daemon.json and the kernel
)

// NewLoop starts nothing.
func NewLoop(cfg LoopConfig) *Loop {
	l := &Loop{cfg: cfg, started: time.Now(), restarts: newRestarts(), down: make(map[lease.ID]time.Time)}
	l.last.Store(&outcome{})
	return l
}

// Run makes passes until ctx ends: whenever something may have changed, and
// every 30 s; after one that failed, not before a pause. What it has made stays
// when it ends. It waits for a restart of Docker that is under way.
func (l *Loop) Run(ctx context.Context) error {
	defer l.restarts.group.Wait()
	backoff := firstBackoff
	for {
		ok, again := l.pass(ctx)
		if ok {
			backoff = firstBackoff
			ok = l.sleep(ctx, time.Until(again))
		} else {
			ok = rest(ctx, backoff)
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

// rest waits whatever happens, for a failure that makes events, as a lost
// connection does, would else be repeated as fast as they come. It returns false
// when ctx has ended.
func rest(ctx context.Context, pause time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(pause):
		return true
	}
}

// sleep returns when there is reason for another pass: an event, with those
// that follow it closely, or the end of the pause. It returns false when ctx
// has ended.
func (l *Loop) sleep(ctx context.Context, pause time.Duration) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	var deadline time.Time
	for {
		select {
		case <-ctx.Done():
			return false
		case <-timer.C:
			return true
		case <-l.cfg.Membership.Changed():
		case <-l.cfg.Switch.Changed():
		case <-l.cfg.Kernel.Changed():
		case <-l.cfg.Docker.Changed():
		case <-l.restarts.ended:
		}
		if deadline.IsZero() {
			deadline = time.Now().Add(impatience)
		}
		timer.Reset(min(quiet, time.Until(deadline)))
	}
}
