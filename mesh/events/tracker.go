package events

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"time"
)

// State is the state of a tunnel: whether it carries packets.
type State uint8

// A tunnel is Unknown if it is not desired, or if Open vSwitch does not answer.
const (
	Unknown State = iota
	Up
	Down
)

// Peer is another host in a snapshot.
type Peer struct {
	ID       string
	Name     string
	Underlay netip.Addr
	Liveness string // Alive, Failed or Left
	Tunnel   State
}

// Liveness values of a [Peer].
const (
	Alive  = "alive"
	Failed = "failed"
	Left   = "left"
)

// settling is the time after the first snapshot in which known peers and
// tunnels may come up without an event. Otherwise each restart of the agent
// would cause events. A new tunnel also has this time to come up before it
// counts as down.
const settling = 15 * time.Second

// lasting is the minimum age of a problem before it becomes an event. A shorter
// time would report failed passes that succeed when they are repeated within a
// second.
const lasting = time.Second

// Tracker compares each snapshot with the one before. The zero Tracker is not
// valid; use [NewTracker].
type Tracker struct {
	began     time.Time           // time of the first snapshot; zero: there was none
	peers     map[string]*peer    // by ID
	unsettled map[string]*peer    // peers that can cause an event without a change, when time passes; by ID
	problems  map[string]*problem // by text
	flaps     map[string]*flap    // by the object's name
}

// problem is a problem that currently exists.
type problem struct {
	since    time.Time
	reported bool // an event has reported it
}

// peer is the tracker's knowledge about one peer.
type peer struct {
	Peer
	since   time.Time // when the liveness last changed
	before  bool      // not alive in the first snapshot or since then; false after PeerFailed
	quiet   bool      // the peer was in the first snapshot, so its tunnel may be older
	fresh   bool      // the tunnel has not been up yet
	changed time.Time // when the tunnel's state last changed; zero while it is unknown
}

// NewTracker returns a Tracker without any snapshot.
func NewTracker() *Tracker {
	return &Tracker{
		peers: make(map[string]*peer), unsettled: make(map[string]*peer),
		problems: make(map[string]*problem), flaps: make(map[string]*flap),
	}
}

// Since returns the start time of each current problem, by the problem's text.
func (t *Tracker) Since() map[string]time.Time {
	since := make(map[string]time.Time, len(t.problems))
	for text, p := range t.problems {
		since[text] = p.since
	}
	return since
}

// Due returns the time of the next event that occurs without any change. The
// caller should call Next or SameAgain at that time. A zero time means that
// there is no such event.
func (t *Tracker) Due() (at time.Time) {
	add := func(due time.Time) {
		if at.IsZero() || due.Before(at) {
			at = due
		}
	}
	for _, p := range t.problems {
		if !p.reported {
			add(p.since.Add(lasting))
		}
	}
	for _, p := range t.unsettled {
		if p.before && p.Liveness == Failed {
			add(t.began.Add(settling))
		}
		if p.fresh && p.Tunnel == Down {
			add(p.changed.Add(settling))
		}
	}
	return at
}

// Next compares the snapshot of a host at time now with the previous one. It
// returns the events since then: events of peers sorted by peer and kind, then
// problems. problems are the texts of the current problems. The tracker assumes
// that the peers of the first snapshot existed before. Such a peer or tunnel
// causes no event if it is up at once or within [settling].
func (t *Tracker) Next(now time.Time, peers []Peer, problems []string) []Event {
	first := t.began.IsZero()
	if first {
		t.began = now
	}
	var found []change
	seen := make(map[string]bool, len(peers))
	for _, p := range peers {
		seen[p.ID] = true
		found = append(found, t.peer(now, p, first)...)
	}
	for id, known := range t.peers {
		if !seen[id] {
			if known.Liveness != Left {
				found = append(found, known.event(now, PeerRemoved, 0))
			}
			delete(t.peers, id)
			delete(t.unsettled, id)
		}
	}
	slices.SortFunc(found, func(a, b change) int { return cmp.Or(cmp.Compare(a.Peer, b.Peer), cmp.Compare(a.Kind, b.Kind)) })
	return t.damp(now, append(found, t.problemChanges(now, problems)...))
}

// SameAgain tells the tracker that the peers have not changed since the last
// snapshot. It returns the events of problems, and the events of peers that are
// due because time has passed.
func (t *Tracker) SameAgain(now time.Time, problems []string) []Event {
	var found []change
	for _, p := range t.unsettled {
		found = append(found, t.peer(now, p.Peer, false)...)
	}
	slices.SortFunc(found, func(a, b change) int { return cmp.Or(cmp.Compare(a.Peer, b.Peer), cmp.Compare(a.Kind, b.Kind)) })
	return t.damp(now, append(found, t.problemChanges(now, problems)...))
}

// change is an event with the name of the object under which damp counts it.
type change struct {
	Event
	object string
}

func (p *peer) event(now time.Time, kind Kind, after time.Duration) change {
	e := Event{Time: now, Kind: kind, Peer: cmp.Or(p.Name, p.ID), Underlay: p.Underlay, After: after}
	return change{Event: e, object: e.Object()}
}

func (t *Tracker) peer(now time.Time, p Peer, first bool) []change {
	known := t.peers[p.ID]
	settled := now.Sub(t.began) >= settling
	var found []change
	if known == nil {
		known = &peer{Peer: p, since: now, before: first && p.Liveness != Alive, quiet: first, fresh: true}
		known.Tunnel = Unknown
		t.peers[p.ID] = known
		if !first && p.Liveness == Alive {
			found = append(found, known.event(now, PeerJoined, 0))
		}
	}
	found = append(found, known.liveness(now, p, settled)...)
	found = append(found, known.tunnel(now, p, settled)...)
	known.Name, known.Underlay = p.Name, p.Underlay
	if delete(t.unsettled, p.ID); known.before || known.fresh {
		t.unsettled[p.ID] = known
	}
	return found
}

func (p *peer) liveness(now time.Time, is Peer, settled bool) []change {
	was, lasted, before := p.Liveness, now.Sub(p.since), p.before
	if is.Liveness == Alive {
		p.before = false
	}
	if was == is.Liveness {
		if before && settled && was == Failed {
			p.before = false
			return []change{p.event(now, PeerFailed, 0)} // no contact since the agent started
		}
		return nil
	}
	p.Liveness, p.since = is.Liveness, now
	switch is.Liveness {
	case Alive:
		if before && !settled {
			return nil
		}
		return []change{p.event(now, PeerReturned, lasted)}
	case Failed:
		return []change{p.event(now, PeerFailed, lasted)}
	case Left:
		return []change{p.event(now, PeerLeft, lasted)}
	}
	return nil
}

// tunnel compares the state of the tunnel. If the new state is unknown, the
// last known state remains. A tunnel that has not been up yet has [settling] to
// come up.
func (p *peer) tunnel(now time.Time, is Peer, settled bool) []change {
	if is.Liveness == Left {
		p.Tunnel, p.fresh, p.quiet, p.changed = Unknown, true, false, time.Time{}
	}
	if is.Tunnel == Unknown {
		return nil
	}
	if p.changed.IsZero() {
		p.changed = now
	}
	if p.fresh {
		return p.freshTunnel(now, is.Tunnel, settled)
	}
	if p.Tunnel == is.Tunnel {
		return nil
	}
	kind, lasted := TunnelDown, now.Sub(p.changed)
	if is.Tunnel == Up {
		kind = TunnelUp
	}
	p.Tunnel, p.changed = is.Tunnel, now
	return []change{p.event(now, kind, lasted)}
}

func (p *peer) freshTunnel(now time.Time, is State, settled bool) []change {
	p.Tunnel = is
	switch {
	case is == Up:
		p.fresh, p.changed = false, now
		if p.quiet && !settled {
			return nil
		}
		return []change{p.event(now, TunnelUp, 0)}
	case now.Sub(p.changed) >= settling:
		p.fresh = false
		return []change{p.event(now, TunnelDown, 0)}
	}
	return nil
}

func (t *Tracker) problemChanges(now time.Time, problems []string) []change {
	var found []change
	is := make(map[string]bool, len(problems))
	add := func(kind Kind, text string, after time.Duration) {
		found = append(found, change{Event{Time: now, Kind: kind, Text: text, After: after}, "problem: " + text})
	}
	for _, text := range problems {
		is[text] = true
		p := t.problems[text]
		if p == nil {
			p = &problem{since: now}
			t.problems[text] = p
		}
		if !p.reported && now.Sub(p.since) >= lasting {
			p.reported = true
			add(ProblemAppears, text, 0)
		}
	}
	for _, text := range slices.Sorted(maps.Keys(t.problems)) {
		if p := t.problems[text]; !is[text] {
			if p.reported {
				add(ProblemCleared, text, now.Sub(p.since))
			}
			delete(t.problems, text)
		}
	}
	return found
}
