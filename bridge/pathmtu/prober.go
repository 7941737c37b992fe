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
	lookNew      = time.Second            // debounce after PeersChanged
	lookSoon     = 250 * time.Millisecond // debounce after Rerouted, because each joining host changes routes
	lookFirst    = 20 * time.Millisecond  // poll interval until all peers are measured once: a joining host waits for that
	firstWithin  = 5 * time.Second        // limit for the use of lookFirst
	roundEvery   = 5 * time.Minute        // plus a random part of up to a fifth, so that rounds of peers do not coincide
	confirmAfter = 3 * time.Second        // delay of the round that confirms a larger MTU
	repeatAfter  = 30 * time.Second       // delay after a failed round
	toldAtMost   = 10 * time.Second       // minimum time between two rounds of a peer if a router reports an MTU
	probeEvery   = 50 * time.Millisecond  // between two echo requests, over all peers
	burst        = 32                     // echo requests at the start that do not wait for probeEvery
	atOnce       = 16                     // peers that are measured concurrently
	openAgain    = 30 * time.Second       // delay before Run tries to open a socket again
)

// Config names the peers that a Prober measures and the callbacks for the results.
// Run calls Peers, Tell and Forget from one goroutine. It calls Route from several
// goroutines at once.
type Config struct {
	Source netip.Addr                         // an address of this host, of the same family as the peers' addresses
	Peers  func() []netip.Addr                // returns the current peers; called after PeersChanged and when a round is due or ends
	Route  func(to netip.Addr) (Route, error) // returns the kernel's current route
	Tell   func(paths map[netip.Addr]Path)    // receives all measured paths whenever one has changed
	Forget func(to netip.Addr, mtu int) error // is called for each measured path; see [Forget]
	Log    *slog.Logger
}

// Prober measures the paths to all peers. Any goroutine may call Rerouted,
// PeersChanged and First while Run runs.
type Prober struct {
	cfg   Config
	woken chan struct{} // capacity 1: routes may have changed
	news  chan struct{} // capacity 1: peers may have changed
	first chan struct{} // closed when all peers have been measured once
}

// New returns a Prober. It starts nothing and opens no socket.
func New(cfg Config) *Prober {
	return &Prober{cfg: cfg, woken: make(chan struct{}, 1), news: make(chan struct{}, 1), first: make(chan struct{})}
}

// Rerouted tells the Prober that routes may have changed. It never blocks.
func (p *Prober) Rerouted() {
	select {
	case p.woken <- struct{}{}:
	default:
	}
}

// PeersChanged tells the Prober that peers may have been added or removed. It never
// blocks.
func (p *Prober) PeersChanged() {
	select {
	case p.news <- struct{}{}:
	default:
	}
}

// First returns a channel that is closed once all peers have been measured. While
// there are no peers, it stays open.
func (p *Prober) First() <-chan struct{} { return p.first }

// Run measures until ctx ends, and then returns nil. If it cannot open a socket,
// it logs a warning and tries again after openAgain. Nothing is measured until
// then.
func (p *Prober) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		words := make(chan mtuHint, 64)
		s, err := open(ctx, p.cfg.Source, func(to netip.Addr, limit int) {
			select {
			case words <- mtuHint{to, limit}:
			default: // the channel is full; routers repeat their message
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

// mtuHint is a router's report that packets to a peer may have at most limit bytes.
type mtuHint struct {
	to    netip.Addr
	limit int
}

// result is the outcome of one round.
type result struct {
	to   netip.Addr
	path Path
	err  error
}

// measure runs the rounds of all peers until ctx ends. It is the only goroutine
// that uses the map of peers.
func (p *Prober) measure(ctx context.Context, ask func(context.Context, netip.Addr, int) (Answer, error), words <-chan mtuHint) {
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
		case <-p.woken: // a joining host adds many routes within a moment; wait for all of them
			if first == nil && !rerouted {
				look.Reset(lookSoon)
			}
			rerouted = true
			continue
		case <-p.news: // hosts often join in groups; wait for the others
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
				results <- result{to, path, err} // never blocks: the channel has room for all running rounds
			})
		}
		if first == nil && !rerouted && !renewed {
			look.Reset(untilDue(peers))
		}
	}
}

// round measures one path. It calls turn before each packet to respect the rate
// limit.
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

// take stores the result of a round, schedules the next round, and calls Tell if
// the path has changed.
func (p *Prober) take(peers map[netip.Addr]*peer, r result) {
	peer := peers[r.to]
	if peer == nil {
		return // the peer was removed during the round
	}
	peer.busy = false
	if r.err != nil {
		p.cfg.Log.Debug("measure a path", "underlay", r.to, "err", r.err)
		peer.due = time.Now().Add(repeatAfter)
		return
	}
	was := peer.path
	confirm := peer.update(r.path)
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
	if mute := !is.Known; mute != peer.unreachableLogged {
		peer.unreachableLogged = mute
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
