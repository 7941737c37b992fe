package pathmtu

import (
	"errors"
	"net/netip"
)

// The size, in bytes, that every path must take to be measured: what every host
// on an IPv4 network takes (RFC 791, section 3.1), and every link of IPv6 (RFC
// 8200, section 5).
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

// Answer is what became of one packet.
type Answer struct {
	Passed bool
	Limit  int // bytes, what a router said that the next link takes; 0: nothing was said
}

const tries = 3 // so that one packet that is lost is no limit

var errUnsteady = errors.New("the answers contradict each other")

// search finds the largest packet, up to full bytes, that passes. Where not even
// a small one does, nothing is known. It is pure but for ask.
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
	// A peer that fell silent meanwhile, or a burst of lost packets, looks like
	// a limit: both sides of it are asked again.
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
