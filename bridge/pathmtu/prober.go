package pathmtu

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"
)

const (
	lookNew      = time.Second            // for peers that are new, after it was said that there may be some
	lookSoon     = 250 * time.Millisecond // after routes have changed, as they do for each host that joins
	lookFirst    = 20 * time.Millisecond  // until all have been measured once: a host that joins waits for that
	firstWithin  = 5 * time.Second        // but no longer
	roundEvery   = 5 * time.Minute        // and up to a fifth more, so that peers fall out of step
	confirmAfter = 3 * time.Second
	repeatAfter  = 30 * time.Second      // after a round that failed
	toldAtMost   = 10 * time.Second      // a router's word begins no round sooner than that after the last
	probeEvery   = 50 * time.Millisecond // all peers together
	burst        = 32                    // that do not wait for that
	atOnce       = 16                    // peers that are measured at a time
	openAgain    = 30 * time.Second
)

// Config is what a Prober measures, and whom it tells.
type Config struct {
	Source netip.Addr                         // an address of this host, and of its peers' family
	Peers  func() []netip.Addr                // is asked when one may have come or gone, and when one is due
	Route  func(to netip.Addr) (Route, error) // as the kernel has it now
	Tell   func(paths map[netip.Addr]Path)    // all paths, whenever one has changed
	Forget func(to netip.Addr, mtu int) error // is told of each path that was measured, see [Forget]
	Log    *slog.Logger
}

// Prober measures the paths to all peers.
type Prober struct {
	cfg   Config
	woken chan struct{} // capacity 1: routes may have changed
	news  chan struct{} // capacity 1: peers may have
	first chan struct{} // closed when all peers there were have been measured
}

// New starts nothing.
func New(cfg Config) *Prober {
	return &Prober{cfg: cfg, woken: make(chan struct{}, 1), news: make(chan struct{}, 1), first: make(chan struct{})}
}

// Rerouted says that routes may have changed. It never blocks.
func (p *Prober) Rerouted() {
	select {
	case p.woken <- struct{}{}:
	default:
	}
}

// Renewed says that peers may have come or gone. It never blocks.
func (p *Prober) Renewed() {
	select {
	case p.news <- struct{}{}:
	default:
	}
}

// First is closed once all peers that there are have been measured.
func (p *Prober) First() <-chan struct{} { return p.first }

// Run measures until ctx ends, and then returns nil. Without a socket there is
// nothing to be known; it says so, and tries again.
func (p *Prober) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		words := make(chan word, 64)
		s, err := open(ctx, p.cfg.Source, func(to netip.Addr, limit int) {
			select {
			case words <- word{to, limit}:
			default: // there will be more
			}
		})
		if err == nil {
			var group sync.WaitGroup
			group.Go(s.read)
			p.measure(ctx, s.ask, words)
			s.close()
			group.Wait()
			return nil
		}
		p.cfg.Log.Warn("paths through the underlay are not measured", "err", err)
		select {
		case <-ctx.Done():
		case <-time.After(openAgain):
		}
	}
	return nil
}

// word is what a router says: packets to a peer may have so many bytes.
type word struct {
	to    netip.Addr
	limit int
}

type result struct {
	to   netip.Addr
	path Path
	err  error
}

// measure runs the rounds of all peers.
func (p *Prober) measure(ctx context.Context, ask func(context.Context, netip.Addr, int) (Answer, error), words <-chan word) {
	peers := make(map[netip.Addr]*peer)
	results := make(chan result, atOnce)
	gate := time.NewTicker(probeEvery)
	defer gate.Stop()
	early := make(chan struct{}, burst)
	for range burst {
		early <- struct{}{}
	}
	turn := func() {
		select {
		case <-early:
		case <-gate.C:
		case <-ctx.Done():
		}
	}
	look := time.NewTicker(lookFirst)
	defer look.Stop()
	first, late := p.first, time.After(firstWithin)
	var group sync.WaitGroup
	defer group.Wait()
	running, rerouted, renewed := 0, false, false
	for {
		select {
		case <-ctx.Done():
			return
		case <-first:
			first = nil
			look.Reset(lookNew)
			continue
		case <-late:
			look.Reset(lookNew)
			continue
		case <-p.woken: // a host that joins makes many routes, in a moment
			if first == nil && !rerouted {
				look.Reset(lookSoon)
			}
			rerouted = true
			continue
		case <-p.news: // one host seldom comes alone
			if first == nil && !rerouted && !renewed {
				look.Reset(lookNew)
			}
			renewed = true
			continue
		case w := <-words:
			if peer := peers[w.to]; peer != nil && w.limit < peer.path.MTU {
				if soon := peer.began.Add(toldAtMost); soon.Before(peer.due) {
					peer.due = soon
				}
			}
		case r := <-results:
			running--
			p.take(peers, r)
		case <-look.C:
			if rerouted {
				p.reroute(peers)
			}
			rerouted, renewed = false, false
		}
		p.renew(peers)
		for to, peer := range peers {
			if running == atOnce {
				break
			}
			if peer.busy || time.Now().Before(peer.due) {
				continue
			}
			running++
			peer.busy, peer.began = true, time.Now()
			group.Go(func() {
				path, err := p.round(ctx, to, turn, ask)
				results <- result{to, path, err} // there is room for all that run
			})
		}
		if first == nil && !rerouted && !renewed {
			look.Reset(untilDue(peers))
		}
	}
}

// round measures one path.
func (p *Prober) round(ctx context.Context, to netip.Addr, turn func(), ask func(context.Context, netip.Addr, int) (Answer, error)) (Path, error) {
	route, err := p.cfg.Route(to)
	if err != nil {
		return Path{}, err
	}
	mtu, known, err := search(route.MTU, smallest(to), func(size int) (Answer, error) {
		if turn(); ctx.Err() != nil {
			return Answer{}, ctx.Err()
		}
		return ask(ctx, to, size)
	})
	return Path{Route: route, MTU: mtu, Known: known}, err
}

// take learns from a round.
func (p *Prober) take(peers map[netip.Addr]*peer, r result) {
	peer := peers[r.to]
	if peer == nil {
		return // it has gone meanwhile
	}
	peer.busy = false
	if r.err != nil {
		p.cfg.Log.Debug("measure a path", "underlay", r.to, "err", r.err)
		peer.due = time.Now().Add(repeatAfter)
		return
	}
	was := peer.path
	confirm := peer.take(r.path)
	peer.due = time.Now().Add(roundEvery + rand.N(roundEvery/5))
	if confirm {
		peer.due = time.Now().Add(confirmAfter)
	}
	is := peer.path
	if is.Known && !confirm {
		if err := p.cfg.Forget(r.to, is.MTU); err != nil {
			p.cfg.Log.Debug("cannot reset the kernel's path MTU", "underlay", r.to, "err", err)
		}
	}
	if mute := !is.Known; mute != peer.mute {
		peer.mute = mute
		if mute {
			p.cfg.Log.Warn("no echo is answered, for example because ICMP is filtered; the device's MTU is assumed", "underlay", r.to, "device", is.Link, "mtu", is.MTU)
		}
	}
	if is.Known && is.MTU < is.Route.MTU && is.MTU != was.MTU {
		p.cfg.Log.Info("a path has a smaller MTU than its device", "underlay", r.to, "mtu", is.MTU, "device", is.Link, "of", is.Route.MTU)
	}
	if is != was {
		p.tell(peers)
	}
}

func (p *Prober) tell(peers map[netip.Addr]*peer) {
	paths := make(map[netip.Addr]Path)
	for to, peer := range peers {
		if peer.path.MTU > 0 {
			paths[to] = peer.path
		}
	}
	p.cfg.Tell(paths)
}
