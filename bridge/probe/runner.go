package probe

import (
	"container/heap"
	"errors"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// runner holds the state of one call of Run. Its methods require mu, except turn
// and shut.
type runner struct {
	*Prober
	sockets *sockets
	open    netip.Addr // the bip for which the sockets were opened
	checked time.Time  // when the devices were last looked up
	asked   []*peer    // peers with a probe that may still be answered
	news    bool       // a result has changed in this turn
}

// turn reads the answers, sends the probes that are due, and returns the time until
// the next turn.
func (r *runner) turn(now time.Time) (rest time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.news = false
	defer func() {
		if r.news {
			r.changes.Add(1)
			signal(r.changed)
		}
	}()
	if !r.self.IsValid() || len(r.peers) == 0 {
		r.shut()
		r.fail(nil)
		return time.Hour // Set wakes Run earlier
	}
	there := r.ready(now)
	if there {
		if err := r.sockets.hear(func(a answer) { r.hear(now, a) }); err != nil {
			r.shut() // a device was deleted or is down; ready finds the reason
			there = false
		}
	}
	if r.trouble != nil {
		return reopenEvery
	}
	r.expire(now)
	r.sendDue(now, there)
	rest = pulse(len(r.peers))
	if len(r.asked) == 0 {
		rest = max(rest, time.Until(r.queue[0].due))
	}
	return rest
}

// expire counts each probe as lost that has had no answer within patience.
func (r *runner) expire(now time.Time) {
	r.asked = slices.DeleteFunc(r.asked, func(one *peer) bool {
		if one.gone || !one.waiting {
			return true
		}
		if now.Sub(one.sent) < patience {
			return false
		}
		r.change(one, func() { one.expire(now) })
		if one.suspect() {
			one.due = one.sent.Add(shortest)
			heap.Fix(&r.queue, one.place)
		}
		return true
	})
}

// sendDue sends the probes that are due, at most perTick of them. there reports
// whether the sockets are open. A probe counts as lost if it cannot be sent
// because a device does not exist or is down.
func (r *runner) sendDue(now time.Time, there bool) {
	for range perTick {
		one := r.queue[0]
		if one.due.After(now) {
			return
		}
		var full bool
		r.change(one, func() { full = one.begin(now) })
		one.sent = time.Now()
		if there {
			if there = !isGone(r.sockets.ask(one.bip, full)); there {
				r.asked = append(r.asked, one)
			}
		}
		if !there {
			r.change(one, func() { one.expire(now) })
		}
		one.due = next(r.epoch, now, one.bip, len(r.peers), &one.track)
		heap.Fix(&r.queue, 0)
	}
}

// hear passes an answer to the path that it belongs to.
func (r *runner) hear(now time.Time, a answer) {
	one := r.peers[a.peer]
	if one == nil {
		return
	}
	rtt := a.at.Round(0).Sub(one.sent.Round(0)) // difference of wall clock times, wrong if the clock was set meanwhile
	if a.at.IsZero() || rtt < 0 || rtt > patience+rarely {
		rtt = 0
	}
	r.change(one, func() { one.hear(now, a.where, rtt) })
}

// change calls do, which may change a path, and records whether its State or Full
// has changed.
func (r *runner) change(one *peer, do func()) {
	state, full := one.path.State, one.path.Full
	do()
	r.news = r.news || state != one.path.State || full != one.path.Full
}

// ready reports whether probes can be sent. It opens the sockets if necessary, at
// most once per reopenEvery.
//
// If docker0 or br0 does not exist, probes count as lost, because no other packet
// passes either. Any other error becomes Trouble: it is a problem of this host and
// says nothing about the paths.
func (r *runner) ready(now time.Time) bool {
	if r.open != r.self {
		r.shut()
	}
	if now.Sub(r.checked) < reopenEvery {
		return r.sockets != nil
	}
	if r.sockets != nil {
		if r.sockets.refresh() == nil {
			r.checked = now
			return true
		}
		r.shut()
	}
	r.checked = now
	s, err := open(r.self, r.cfg.Bridge, r.cfg.Port)
	if isGone(err) {
		r.fail(nil)
		return false
	}
	r.fail(err)
	if err != nil {
		return false
	}
	r.sockets, r.open = s, r.self
	return true
}

// shut closes the sockets. The next ready opens them again without delay.
func (r *runner) shut() {
	if r.sockets != nil {
		r.sockets.close()
	}
	r.sockets, r.checked = nil, time.Time{}
}

// fail sets Trouble to err. A new error resets the results of all paths, because
// they are not probed from then on.
func (r *runner) fail(err error) {
	was := r.trouble
	r.trouble = err
	if err == nil && was == nil || err != nil && was != nil && was.Error() == err.Error() {
		return
	}
	r.news = true
	if err != nil {
		r.cfg.Log.Warn("paths to peers are not probed", "err", err)
		for _, one := range r.peers {
			one.track = track{}
		}
	}
}

// isGone reports whether an error means that a device does not exist or is down.
func isGone(err error) bool {
	return slices.ContainsFunc([]error{unix.ENODEV, unix.ENXIO, unix.ENETDOWN}, func(e error) bool { return errors.Is(err, e) })
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
