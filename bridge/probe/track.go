package probe

import (
	"cmp"
	"slices"
	"time"
)

// State tells whether probes pass: Unknown, Up or Down.
type State uint8

// A path is Unknown until the first answer, or until three probes in a row are
// lost.
const (
	Unknown State = iota
	Up
	Down
)

func (s State) String() string { return [...]string{"unknown", "up", "down"}[s] }

// Path is the result of the probes of the path to one peer and back.
type Path struct {
	State State
	Since time.Time // when State last changed; zero while it is Unknown
	Begun time.Time // when the first probe was sent; zero: none yet
	Was   bool      // State was Up at least once since Begun
	// Full tells whether frames of docker0's MTU pass. It is Unknown while State
	// is not Up.
	Full      State
	RoundTrip time.Duration // median over the answers to the last 20 probes; 0: not measured
	Loss      float64       // share of the last 20 probes without an answer, from 0 to 1
	Sent      uint64        // number of probes since Begun
	Lost      uint64        // number of those probes without an answer
}

const (
	downAfter   = 3  // lost probes in a row after which a path is Down
	fullEvery   = 10 // one of this many probes is padded to the MTU
	windowWidth = 20 // probes that loss and round trip are computed from
)

// track computes the Path from the probes of one path and their answers. It has no
// clock. The zero value is a path that was never probed.
type track struct {
	path    Path
	waiting bool     // the last probe has no answer yet
	full    bool     // the last probe is padded
	seen    sighting // devices on which its answer was seen
	missed  int      // lost probes in a row

	// The loss of a padded probe says something about the size only if the
	// small probe after it is answered.
	fullLost   bool // the last padded probe was lost, and no small one was answered since
	fullMissed int  // lost padded probes in a row, each followed by an answered small one

	window [windowWidth]sample // the last probes, newest first
	filled int                 // number of samples in window
}

// sample is the outcome of one probe.
type sample struct {
	lost bool
	rtt  time.Duration // 0: not measured
}

// sighting is the set of devices on which an answer was seen.
type sighting uint8

const (
	onPort sighting = 1 << iota
	onBridge
	everywhere = onPort | onBridge
)

// begin counts a probe that is sent now, and reports whether it must be padded.
// If the previous probe has no answer yet, begin counts it as lost.
func (t *track) begin(now time.Time) (full bool) {
	t.expire(now)
	if t.path.Begun.IsZero() {
		t.path.Begun = now
	}
	n := t.path.Sent % fullEvery
	again := t.fullMissed > 0 && t.path.Full != Down && !t.full // repeat the lost padded probe, after one small probe
	t.path.Sent++
	t.waiting, t.seen = true, 0
	t.full = n == 1 || again
	return t.full
}

// hear counts a sighting of the answer. The probe is answered once its answer was
// seen on both devices. rtt is the time from the probe to this sighting; 0:
// unknown.
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

// expire counts the last probe as lost if it has no answer yet.
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

// become sets State. Since changes only if State changes.
func (t *track) become(now time.Time, s State) {
	if t.path.State != s {
		t.path.State, t.path.Since = s, now
	}
	t.path.Was = t.path.Was || s == Up
}

// sample adds the outcome of a probe and drops the oldest one.
func (t *track) sample(s sample) {
	copy(t.window[1:], t.window[:])
	t.window[0] = s
	t.filled = min(t.filled+1, windowWidth)
}

// suspect reports whether the last probe was lost, but not yet as many in a row as
// make the path Down.
func (t *track) suspect() bool { return t.missed > 0 && t.missed < downAfter }

// report returns the Path, including Loss and RoundTrip.
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
