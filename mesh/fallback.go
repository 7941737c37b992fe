package mesh

import (
	"time"

	"github.com/gremesh/gremesh/mesh/lease"
)

// Times of the move to another tunnel type.
const (
	fallbackAfter = 10 * time.Second // a pair's BFD session is down for so long before its type changes
	trialLimit    = 3 * time.Second  // a first type that is tried again has so long to come up; a port and its session take 2 s at most
	firstRound    = time.Minute      // pause after all types were tried in vain
	lastRound     = 10 * time.Minute
	steadyAfter   = time.Minute // a type that is up for so long does get through
)

// fallbacks decides, for pairs in which this host has the lower ID, which of
// the configured types their tunnel has; the other end follows. It is pure: it
// is told what is and when.
type fallbacks struct {
	types []string      // the first one is preferred; no others: nothing is ever decided
	anew  bool          // the types changed while the agent ran: each pair begins with the first one
	retry time.Duration // from when the first one was given up until it is tried again
	pairs map[lease.ID]*pair
}

// pair is the tunnel to one peer.
type pair struct {
	at      int       // index into types
	down    time.Time // since when BFD is not up with that type; zero: it is up, or can't be judged
	up      time.Time // since when BFD is up with that type; zero: it is not
	trial   bool      // the first type is being tried again, from was
	was     int
	began   time.Time     // of the trial
	retry   time.Time     // when the first type is tried again; zero: it is in use
	tried   int           // types in a row that did not come up and stay up
	pause   time.Duration // until the next round
	resting time.Time     // until when nothing is tried
	asked   [2]bool       // by an operator here, and at the other end, to try the first type at once
}

func newFallbacks(tunnel TunnelConfig) *fallbacks {
	return &fallbacks{types: tunnel.Types(), retry: tunnel.Retry, pairs: make(map[lease.ID]*pair)}
}

// sight is what is seen of one pair.
type sight struct {
	Type string // of the port that is there; empty: none
	Made bool   // Open vSwitch has set it up
	Up   bool   // its BFD session
	// Retry is that an operator of this host wants the first type tried.
	Retry bool
}

// decide returns the type of each pair that is in this host's hands, and by
// when it must be asked again. Pairs that can't be judged keep what they have.
func (f *fallbacks) decide(now time.Time, self lease.ID, peers []Host, seen map[lease.ID]sight) (types map[lease.ID]string, again time.Time) {
	types = make(map[lease.ID]string)
	if len(f.types) < 2 {
		return types, again
	}
	known := f.pairs
	f.pairs = make(map[lease.ID]*pair, len(known)) // whoever is gone is forgotten
	for _, peer := range peers {
		if self.Compare(peer.ID) > 0 || !peer.Subnet.IsValid() {
			continue
		}
		p := known[peer.ID]
		if p == nil {
			p = f.resume(now, seen[peer.ID].Type)
		}
		f.pairs[peer.ID] = p
		again = sooner(again, f.step(now, p, peer, seen[peer.ID]))
		types[peer.ID] = f.types[p.at]
	}
	return types, again
}

// resume takes the port that is there for what was decided before the agent's
// start.
func (f *fallbacks) resume(now time.Time, have string) *pair {
	p := &pair{}
	if f.anew {
		return p
	}
	for i, t := range f.types {
		if t == have && i > 0 {
			p.at, p.retry = i, now.Add(f.retry)
		}
	}
	return p
}

// step moves one pair on. It returns by when it must be looked at again; zero:
// only what is seen or said can change anything.
//
// A pair moves only if the other end says that nothing comes by its port either:
// if its Open vSwitch is broken, or it wants no tunnel to this host, another type
// is no help. A trial ends in any case, for what it gave up did work.
func (f *fallbacks) step(now time.Time, p *pair, peer Host, s sight) time.Time {
	if asked := [2]bool{s.Retry, peer.Retry}; asked != p.asked {
		more := asked[0] && !p.asked[0] || asked[1] && !p.asked[1]
		if p.asked = asked; more {
			p.again(now, s)
		}
	}
	there := s.Type == f.types[p.at]
	if there && s.Up {
		return f.stay(now, p)
	}
	p.up = time.Time{}
	if p.trial {
		if end := p.began.Add(trialLimit); now.Before(end) {
			return end
		}
		p.at, p.trial, p.retry = p.was, false, now.Add(f.retry)
		return time.Time{}
	}
	if !there || !s.Made || peer.Liveness != Alive {
		p.down = time.Time{} // silent for another reason, or not made yet
		return time.Time{}
	}
	if p.down.IsZero() {
		p.down = now
	}
	limit := p.down.Add(fallbackAfter)
	if p.resting.After(limit) {
		limit = p.resting
	}
	switch {
	case now.Before(limit):
		return limit
	case peer.Silent == "":
		return time.Time{}
	}
	p.at, p.down, p.retry = (p.at+1)%len(f.types), time.Time{}, time.Time{}
	if p.tried++; p.tried%len(f.types) == 0 {
		p.pause = min(max(firstRound, 2*p.pause), lastRound)
		p.resting = now.Add(p.pause)
	}
	return time.Time{}
}

// again has the first type tried at once: for a trial where another gets through,
// else from the start, without the pauses.
func (p *pair) again(now time.Time, s sight) {
	switch {
	case p.at == 0 && s.Up, p.trial:
	case s.Up:
		p.retry = now
	default:
		*p = pair{asked: p.asked}
	}
}

// stay is a step of a pair whose tunnel is up.
func (f *fallbacks) stay(now time.Time, p *pair) time.Time {
	p.down = time.Time{}
	if p.up.IsZero() {
		p.up = now
	}
	if now.Sub(p.up) >= steadyAfter {
		p.tried, p.pause, p.resting = 0, 0, time.Time{}
	}
	switch {
	case p.at == 0:
		p.trial, p.retry = false, time.Time{}
	case p.retry.IsZero():
		p.retry = now.Add(f.retry)
	case !now.Before(p.retry):
		p.was, p.at, p.trial, p.began, p.up = p.at, 0, true, now, time.Time{}
		return now.Add(trialLimit)
	}
	return p.retry
}
