package pathmtu

import (
	"errors"
	"net/netip"
)

// A path must pass packets of this size, in bytes, or it is not measured. Every
// IPv4 host accepts smallest4 (RFC 791, section 3.1). Every IPv6 link carries
// smallest6 (RFC 8200, section 5).
const (
	smallest4 = 576
	smallest6 = 1280
)

func smallest(to netip.Addr) int {
	if to.Is6() {
		return smallest6
	}
	return smallest4
}

// Answer is the outcome of one echo request. The zero Answer means that no answer
// arrived in time.
type Answer struct {
	Passed bool // the peer has answered
	Limit  int  // bytes, the MTU of the next link as a router reports it; 0: no report
}

const tries = 3 // per size, so that one lost packet does not look like a limit

var errUnsteady = errors.New("the answers contradict each other")

// search finds the size of the largest packet that passes, in bytes, at most full.
// If not even a packet of least bytes passes, known is false and mtu is full. ask
// sends one packet; calling it is the only side effect.
//
// The error is either an error of ask or errUnsteady.
func search(full, least int, ask func(size int) (Answer, error)) (mtu int, known bool, err error) {
	try := func(size int) (a Answer, err error) {
		for range tries {
			if a, err = ask(size); err != nil || a.Passed || a.Limit > 0 {
				return a, err
			}
		}
		return Answer{}, nil
	}
	a, err := try(full)
	if err != nil || a.Passed {
		return full, err == nil, err
	}
	passes, fails, hint := 0, full, a.Limit
	for fails-passes > 1 {
		size := (passes + fails) / 2
		hinted := hint > passes && hint < fails && hint >= least
		switch {
		case hinted:
			size = hint
		case passes == 0:
			size = least
		}
		if size >= fails {
			return full, false, nil
		}
		if a, err = try(size); err != nil {
			return 0, false, err
		}
		hint = a.Limit
		switch {
		case a.Passed && hinted:
			return size, true, nil
		case a.Passed:
			passes = size
		case size <= least:
			return full, false, nil
		default:
			fails = size
		}
	}
	// Check both sides of the limit again. Otherwise a peer that stopped
	// answering, or a burst of lost packets, would look like a limit.
	below, err := try(passes)
	if err != nil {
		return 0, false, err
	}
	above, err := try(fails)
	if err == nil && (!below.Passed || above.Passed) {
		err = errUnsteady
	}
	return passes, err == nil, err
}
