package events

import (
	"cmp"
	"fmt"
	"net/netip"
	"time"
)

// Kind is the kind of an event. The values are stable, because the history file
// contains them.
type Kind string

// Kinds of events.
const (
	PeerJoined     Kind = "peer-joined"
	PeerFailed     Kind = "peer-failed"
	PeerReturned   Kind = "peer-returned" // alive again after it failed or left
	PeerLeft       Kind = "peer-left"
	PeerRemoved    Kind = "peer-removed" // an operator forgot it, or its lease expired
	TunnelDown     Kind = "tunnel-down"
	TunnelUp       Kind = "tunnel-up"
	ProblemAppears Kind = "problem"
	ProblemCleared Kind = "problem-cleared"
	Flapping       Kind = "flapping" // summarizes the changes that were not reported one by one
)

// Event is one event on a host.
type Event struct {
	Time     time.Time
	Kind     Kind
	Peer     string     // name of the peer; empty: the event is about a problem
	Underlay netip.Addr // address of the peer
	Text     string     // the problem, or the object that flapped
	// After is the duration of the former state. At TunnelUp it is the outage.
	// Zero means unknown.
	After time.Duration
	Times int    // number of changes that a Flapping event summarizes
	Is    string // state at a Flapping event
}

// Bad reports whether the event is a change for the worse.
func (e Event) Bad() bool {
	switch e.Kind {
	case PeerFailed, TunnelDown, ProblemAppears, Flapping:
		return true
	}
	return false
}

// Object returns the name of the event's object, as the history shows it.
func (e Event) Object() string {
	switch e.Kind {
	case TunnelDown, TunnelUp:
		return "tunnel to " + e.Peer
	case ProblemAppears, ProblemCleared:
		return "problem"
	case Flapping:
		return e.Text
	}
	return "peer " + e.Peer
}

// States returns the former and the new state, as the history shows them. An
// empty former state means that the object did not exist. An empty new state
// means that the object is gone.
func (e Event) States() (was, is string) {
	switch e.Kind {
	case PeerJoined:
		return "", "alive"
	case PeerFailed:
		return lasted("alive", e.After), "failed"
	case PeerReturned:
		return lasted("away", e.After), "alive"
	case PeerLeft:
		return lasted("alive", e.After), "left"
	case PeerRemoved:
		return "known", ""
	case TunnelDown:
		return lasted("up", e.After), "down"
	case TunnelUp:
		return lasted("down", e.After), "up"
	case ProblemAppears:
		return "", e.Text
	case ProblemCleared:
		return lasted(e.Text, e.After), ""
	case Flapping:
		return fmt.Sprintf("changed %d times in %s", e.Times, Round(e.After)), cmp.Or(e.Is, "gone")
	}
	return "", ""
}

// lasted adds the duration of a state to its text, if the duration is known.
func lasted(state string, d time.Duration) string {
	if d <= 0 {
		return state
	}
	return fmt.Sprintf("%s for %s", state, Round(d))
}

// Round rounds a duration for people: to tenths of a second below ten seconds,
// to whole seconds below an hour, and to whole minutes above.
func Round(d time.Duration) time.Duration {
	switch {
	case d < 10*time.Second:
		return d.Round(100 * time.Millisecond)
	case d < time.Hour:
		return d.Round(time.Second)
	}
	return d.Round(time.Minute)
}
