package probe

import (
	"encoding/binary"
	"net/netip"
	"time"
)

const (
	shortest = time.Second            // between two probes of a path
	spacing  = 100 * time.Millisecond // between probes on the average, once there are more than 10 peers
	patience = 750 * time.Millisecond // for an answer
	downMost = 5 * time.Second        // between two probes of a path that is down
	greeting = 10 * time.Millisecond  // between the first probes of new peers
	// Waking up costs more than a probe, so in a larger mesh several share one.
	tick    = 50 * time.Millisecond
	rarely  = 500 * time.Millisecond
	perTick = 25 // probes: what a host sends on which all paths are new or fail at once
)

// pulse returns how often a prober with so many peers wakes up to send what is
// due and to read what has come.
func pulse(peers int) time.Duration {
	if interval(peers) == shortest {
		return tick
	}
	return rarely
}

// interval returns the time between two probes of one path in a mesh with so
// many peers: 1 s with up to 10, and 100 s with 1,000.
func interval(peers int) time.Duration {
	return max(shortest, time.Duration(peers)*spacing)
}

// next returns when a path is probed again. It has been probed now.
//
// Each peer has a place of its own within the interval, by its address, so that
// the probes spread evenly without any state. epoch is any time, always the same.
// A path whose last probe was lost is tried again after a second, so that it
// takes three more to find that it is down, however long the interval is.
func next(epoch, now time.Time, peer netip.Addr, peers int, t *track) time.Time {
	every := interval(peers)
	switch {
	case t.suspect():
		return now.Add(shortest)
	case t.path.State == Down:
		every = min(every, downMost)
	}
	place := time.Duration(float64(every) * phase(peer))
	earliest := now.Add(every * 3 / 4) // the last probe may have been late
	since := earliest.Sub(epoch) - place
	rounds := since / every
	if since%every > 0 {
		rounds++
	}
	return epoch.Add(place + rounds*every)
}

// phase spreads addresses over the numbers from 0 to 1, neighbours far apart: it
// is the address times the golden ratio, without the whole part (Fibonacci
// hashing).
func phase(peer netip.Addr) float64 {
	const golden = 2654435769 // 2^32 divided by the golden ratio
	a := peer.As4()
	return float64(binary.BigEndian.Uint32(a[:])*golden) / (1 << 32)
}
