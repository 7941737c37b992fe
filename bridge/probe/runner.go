package probe

import (
	"container/heap"
	"errors"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// runner is what Run has.
type runner struct {
	*Prober
	sockets *sockets
	open    netip.Addr // the address that the sockets are for
	checked time.Time  // when the devices were last looked up
	asked   []*peer    // whose answer may still come
	news    bool       // something has changed in this turn
}

// turn does what is due, and returns how long nothing is.
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
		return time.Hour // until Set
	}
	there := r.ready(now)
	if there {
		if err := r.sockets.hear(func(a answer) { r.hear(now, a) }); err != nil {
			r.shut() // a device is gone or down; ready finds out
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

// expire counts the probes as lost whose time is over.
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

// sendDue sends the probes that are due. One that cannot be sent because there
// is no device is lost.
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

// hear hands an answer to its path.
func (r *runner) hear(now time.Time, a answer) {
	one := r.peers[a.peer]
	if one == nil {
		return
	}
	rtt := a.at.Round(0).Sub(one.sent.Round(0)) // by the wall clock, which may have been set
	if a.at.IsZero() || rtt < 0 || rtt > patience+rarely {
		rtt = 0
	}
	r.change(one, func() { one.hear(now, a.where, rtt) })
}

// change does something to a path, and notes whether that is news.
func (r *runner) change(one *peer, do func()) {
	state, full := one.path.State, one.path.Full
	do()
	r.news = r.news || state != one.path.State || full != one.path.Full
}

// ready reports whether probes can be sent. If they cannot because docker0 or
// br0 does not exist, they are lost: nothing else passes either. Any other
// reason is this host's trouble, and says nothing about the paths.
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

func (r *runner) shut() {
	if r.sockets != nil {
		r.sockets.close()
	}
	r.sockets, r.checked = nil, time.Time{}
}

// fail notes why no path can be probed. Nothing is known of any from then on.
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
