package probe

import (
	"encoding/binary"
	"net/netip"
	"time"
)

const (
	shortest = time.Second            // minimum time between two probes of a path
	spacing  = 100 * time.Millisecond // average time between two probes with more than 10 peers
	patience = 750 * time.Millisecond // timeout for an answer
	downMost = 5 * time.Second        // maximum time between two probes of a path that is down
	greeting = 10 * time.Millisecond  // time between the first probes of new peers
	// A wake-up costs more than a probe. With more than 10 peers, several probes
	// therefore share one wake-up.
	tick    = 50 * time.Millisecond  // between two wake-ups with at most 10 peers
	rarely  = 500 * time.Millisecond // between two wake-ups with more peers
	perTick = 25                     // maximum number of probes per wake-up, reached if all paths are new or fail at once
)

// pulse returns the time between two wake-ups of a prober with this number of
// peers. At each wake-up it sends the probes that are due and reads the answers.
func pulse(peers int) time.Duration {
	if interval(peers) == shortest {
		return tick
	}
	return rarely
}

// interval returns the time between two probes of one path with this number of
// peers. It is 1 s with at most 10 peers, and 100 s with 1,000.
func interval(peers int) time.Duration {
	return max(shortest, time.Duration(peers)*spacing)
}

// next returns when to probe a path again that was just probed at now. epoch is an
// arbitrary time that must be the same in every call.
//
// Each peer has its own place within the interval, which follows from its address.
// The probes therefore spread evenly without any state. A path whose last probe
// was lost is probed again after one second. A broken path is therefore found to be
// down within about three seconds of the first loss, even if the interval is long.
func next(epoch, now time.Time, peer netip.Addr, peers int, t *track) time.Time {
	every := interval(peers)
	switch {
	case t.suspect():
		return now.Add(shortest)
	case t.path.State == Down:
		every = min(every, downMost)
	}
	place := time.Duration(float64(every) * phase(peer))
	earliest := now.Add(every * 3 / 4) // less than every, because the last probe may have been late
	since := earliest.Sub(epoch) - place
	rounds := since / every
	if since%every > 0 {
		rounds++
	}
	return epoch.Add(place + rounds*every)
}

// phase maps an address to a number from 0 to below 1, so that consecutive
// addresses are far apart. It is the fractional part of the address divided by the
// golden ratio (Fibonacci hashing).
func phase(peer netip.Addr) float64 {
	const golden = 2654435769 // 2^32 divided by the golden ratio
	a := peer.As4()
	return float64(binary.BigEndian.Uint32(a[:])*golden) / (1 << 32)
}
