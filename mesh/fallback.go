package mesh

import (
	"time"

	"github.com/gremesh/gremesh/mesh/lease"
)

// Times of the change to another tunnel type.
const (
	fallbackAfter = 10 * time.Second // how long a pair's BFD session must be down before the pair changes its type
	trialLimit    = 3 * time.Second  // time for the first type to come up when it is tried again; a port and its session take at most 2 s
	firstRound    = time.Minute      // pause after all types have been tried without success
	lastRound     = 10 * time.Minute
	steadyAfter   = time.Minute // a type that has been up for this time gets through
)

// fallbacks decides which of the configured types a tunnel has. It decides for
// the pairs in which this host has the lower ID; the other end follows. It is
// pure: the caller passes the observations and the time.
type fallbacks struct {
	types []string      // in order of preference; with one type, nothing is decided
	anew  bool          // the types changed while the agent ran, so each pair begins with the first type
	retry time.Duration // delay before the first type is tried again after a pair has left it
	pairs map[lease.ID]*pair
}

// pair is the state of the tunnel to one peer.
type pair struct {
	at      int       // index into types
	down    time.Time // since when BFD is not up with the current type; zero: it is up, or cannot be judged
	up      time.Time // since when BFD is up with the current type; zero: it is not
	trial   bool      // the first type is being tried again; was is the type before
	was     int
	began   time.Time     // start of the trial
	retry   time.Time     // when to try the first type again; zero: it is in use
	tried   int           // consecutive types that did not come up and stay up
	pause   time.Duration // length of the pause before the next round
	resting time.Time     // time before which no other type is tried
	asked   [2]bool       // operators here and at the other end have asked to try the first type at once
}

func newFallbacks(tunnel TunnelConfig) *fallbacks {
	return &fallbacks{types: tunnel.Types(), retry: tunnel.Retry, pairs: make(map[lease.ID]*pair)}
}

// sight holds the observations about one pair.
type sight struct {
	Type string // of the existing port; empty: no port
	Made bool   // Open vSwitch has set up the port
	Up   bool   // the BFD session of the port is up
	// Retry is true if an operator of this host wants the first type tried.
	Retry bool
}

// decide returns the type of each pair that this host decides for, and the time
// of the next call (zero: none is due). A pair that cannot be judged keeps its
// type.
func (f *fallbacks) decide(now time.Time, self lease.ID, peers []Host, seen map[lease.ID]sight) (types map[lease.ID]string, again time.Time) {
	types = make(map[lease.ID]string)
	if len(f.types) < 2 {
		return types, again
	}
	known := f.pairs
	f.pairs = make(map[lease.ID]*pair, len(known)) // this drops the state of peers that are gone
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

// resume restores the decision from before the start of the agent: it is the
// type of the existing port.
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

// step advances the state of one pair. It returns the time of the next step.
// Zero means that only a new observation can change anything.
//
// A pair changes its type only if the other end reports that its port receives
// nothing either. Otherwise another type does not help: the Open vSwitch there
// may be broken, or that host wants no tunnel to this one. A trial always ends,
// because the type that was in use before it did work.
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
		p.down = time.Time{} // silent for another reason, or not created yet
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

// again makes the pair try the first type at once. If another type gets
// through, it starts a trial. Otherwise it resets the pair, without any pauses.
func (p *pair) again(now time.Time, s sight) {
	switch {
	case p.at == 0 && s.Up, p.trial:
	case s.Up:
		p.retry = now
	default:
		*p = pair{asked: p.asked}
	}
}

// stay is the step for a pair whose tunnel is up.
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
