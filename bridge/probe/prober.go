package probe

import (
	"container/heap"
	"context"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

const reopenEvery = time.Second // between two checks of the devices

// Config names the devices on which a Prober sends and listens.
type Config struct {
	Bridge string // Docker's bridge: docker0
	Port   string // the OVS bridge's own device, a port of Bridge: br0
	Log    *slog.Logger
}

// Targets are the paths to probe.
type Targets struct {
	Self  netip.Addr   // this host's bip; zero: probe nothing
	Peers []netip.Addr // the peers' bips
}

// Prober probes the paths to all peers. Any goroutine may call its methods.
type Prober struct {
	cfg     Config
	woken   chan struct{} // capacity 1: Set was called
	changed chan struct{} // capacity 1; see Changed

	changes atomic.Uint64

	mu      sync.Mutex
	epoch   time.Time
	self    netip.Addr
	peers   map[netip.Addr]*peer
	queue   queue
	trouble error
}

// New returns a Prober without targets. It starts nothing.
func New(cfg Config) *Prober {
	return &Prober{
		cfg: cfg, woken: make(chan struct{}, 1), changed: make(chan struct{}, 1),
		epoch: time.Now(), peers: make(map[netip.Addr]*peer),
	}
}

// Set replaces the targets. It keeps the results for peers that stay, unless Self
// has changed. It ignores peers with an IPv6 address. It never blocks on the
// network.
func (p *Prober) Set(targets Targets) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, one := range p.peers {
		one.gone = true
	}
	if targets.Self != p.self {
		p.self, p.peers, p.queue = targets.Self, make(map[netip.Addr]*peer), nil
	}
	if !targets.Self.IsValid() {
		targets.Peers = nil
	}
	now := time.Now()
	fresh := time.Duration(0)
	for _, bip := range targets.Peers {
		if !bip.Is4() {
			continue
		}
		if known := p.peers[bip]; known != nil {
			known.gone = false
			continue
		}
		one := &peer{bip: bip, due: now.Add(fresh)}
		fresh += greeting
		p.peers[bip] = one
		heap.Push(&p.queue, one)
	}
	for bip, one := range p.peers {
		if one.gone {
			delete(p.peers, bip)
			heap.Remove(&p.queue, one.place)
		}
	}
	signal(p.woken)
}

// Paths returns the current result for each path, by the peer's bip. All paths are
// Unknown while Trouble returns an error.
func (p *Prober) Paths() map[netip.Addr]Path {
	p.mu.Lock()
	defer p.mu.Unlock()
	paths := make(map[netip.Addr]Path, len(p.peers))
	for bip, one := range p.peers {
		paths[bip] = one.report()
	}
	return paths
}

// Path returns the current result for the path to one peer. It returns the zero
// Path if this path is not probed.
func (p *Prober) Path(to netip.Addr) Path {
	p.mu.Lock()
	defer p.mu.Unlock()
	if one := p.peers[to]; one != nil {
		return one.report()
	}
	return Path{}
}

// Trouble returns the reason why no path can be probed, or nil if paths can be
// probed.
func (p *Prober) Trouble() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.trouble
}

// Changes returns a counter. It increases whenever Trouble or the State or Full of
// a path changes.
func (p *Prober) Changes() uint64 { return p.changes.Load() }

// Changed returns a channel that receives a value after Trouble or the State or
// Full of a path has changed. Signals that were not received yet are merged.
func (p *Prober) Changed() <-chan struct{} { return p.changed }

// Run probes until ctx ends, and then returns nil. Only one Run may run at a time.
func (p *Prober) Run(ctx context.Context) error {
	r := &runner{Prober: p}
	defer r.shut()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		case <-p.woken:
		}
		timer.Reset(r.turn(time.Now()))
	}
}
