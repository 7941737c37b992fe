package probe

import (
	"cmp"
	"slices"
	"time"
)

// State is whether something passes.
type State uint8

// A path is unknown until the first answer, or the first loss of three probes.
const (
	Unknown State = iota
	Up
	Down
)

func (s State) String() string { return [...]string{"unknown", "up", "down"}[s] }

// Path is what the probes have found out about the way to one peer and back.
type Path struct {
	State State
	Since time.Time // since when State is so; zero while it is unknown
	Begun time.Time // when the first probe was sent; zero: none yet
	Was   bool      // it has been up since Begun
	// Full is whether frames of docker0's MTU pass, where State is up.
	Full      State
	RoundTrip time.Duration // median of the answers among the last 20 probes; 0: none was measured
	Loss      float64       // share of the last 20 probes that had no answer, from 0 to 1
	Sent      uint64        // probes, since Begun
	Lost      uint64        // of those
}

const (
	downAfter   = 3  // probes in a row without an answer
	fullEvery   = 10 // one in so many is padded to the MTU
	windowWidth = 20 // probes, for loss and round trip
)

// track keeps the account of one path. It has no clock.
type track struct {
	path    Path
	waiting bool // for the answer to the last probe
	full    bool // that one is padded
	seen    sighting
	missed  int // in a row

	// A padded probe that is lost says something about the size only if the
	// small one after it is answered.
	fullLost   bool
	fullMissed int // in a row, with answers to small ones between

	window [windowWidth]sample
	filled int
}

// sample is what became of one probe.
type sample struct {
	lost bool
	rtt  time.Duration // 0: not measured
}

// sighting is where an answer was seen.
type sighting uint8

const (
	onPort sighting = 1 << iota
	onBridge
	everywhere = onPort | onBridge
)

// begin counts a probe that is sent now, and reports whether it is to be padded.
// The probe before it is lost if it has no answer by then.
func (t *track) begin(now time.Time) (full bool) {
	t.expire(now)
	if t.path.Begun.IsZero() {
		t.path.Begun = now
	}
	n := t.path.Sent % fullEvery
	again := t.fullMissed > 0 && t.path.Full != Down && !t.full // a small one comes between
	t.path.Sent++
	t.waiting, t.seen = true, 0
	t.full = n == 1 || again
	return t.full
}

// hear counts a sighting of the answer, the last of which came rtt after the
// probe was sent; 0: that is not known.
func (t *track) hear(now time.Time, where sighting, rtt time.Duration) {
	if !t.waiting {
		return
	}
	if t.seen |= where; t.seen != everywhere {
		return
	}
	t.waiting, t.missed = false, 0
	t.sample(sample{rtt: rtt})
	t.become(now, Up)
	switch {
	case t.full:
		t.path.Full, t.fullLost, t.fullMissed = Up, false, 0
	case t.fullLost:
		t.fullLost = false
		if t.fullMissed++; t.fullMissed >= downAfter {
			t.path.Full = Down
		}
	}
}

// expire counts the probe under way as lost.
func (t *track) expire(now time.Time) {
	if !t.waiting {
		return
	}
	t.waiting = false
	t.path.Lost++
	t.missed++
	t.sample(sample{lost: true})
	if t.full {
		t.fullLost = true
	}
	if t.missed >= downAfter {
		t.become(now, Down)
		t.path.Full, t.fullLost, t.fullMissed = Unknown, false, 0
	}
}

func (t *track) become(now time.Time, s State) {
	if t.path.State != s {
		t.path.State, t.path.Since = s, now
	}
	t.path.Was = t.path.Was || s == Up
}

func (t *track) sample(s sample) {
	copy(t.window[1:], t.window[:])
	t.window[0] = s
	t.filled = min(t.filled+1, windowWidth)
}

// suspect reports whether the last probes were lost and it is not yet certain
// that the path is down.
func (t *track) suspect() bool { return t.missed > 0 && t.missed < downAfter }

// report returns the account.
func (t *track) report() Path {
	p := t.path
	lost := 0
	var rtts []time.Duration
	for _, s := range t.window[:t.filled] {
		switch {
		case s.lost:
			lost++
		case s.rtt > 0:
			rtts = append(rtts, s.rtt)
		}
	}
	if t.filled > 0 {
		p.Loss = float64(lost) / float64(t.filled)
	}
	if len(rtts) > 0 && p.State == Up {
		slices.SortFunc(rtts, cmp.Compare[time.Duration])
		p.RoundTrip = rtts[len(rtts)/2]
	}
	return p
}
