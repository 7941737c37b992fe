package events

import (
	"cmp"
	"fmt"
	"net/netip"
	"time"
)

// Kind names what happened. The values are stable: the history and its readers
// use them.
type Kind string

// Kinds of events.
const (
	PeerJoined     Kind = "peer-joined"
	PeerFailed     Kind = "peer-failed"
	PeerReturned   Kind = "peer-returned" // alive again after it failed or left
	PeerLeft       Kind = "peer-left"
	PeerRemoved    Kind = "peer-removed" // forgotten, or its lease expired
	TunnelDown     Kind = "tunnel-down"
	TunnelUp       Kind = "tunnel-up"
	ProblemAppears Kind = "problem"
	ProblemCleared Kind = "problem-cleared"
	Flapping       Kind = "flapping" // summarizes the changes that were not reported one by one
)

// Event is one thing that happened at a host.
type Event struct {
	Time     time.Time
	Kind     Kind
	Peer     string     // name of the peer; empty: the event is about a problem
	Underlay netip.Addr // of the peer
	Text     string     // the problem, or what flapped
	// After is how long the former state lasted: the outage, for a tunnel that
	// came up. Zero: unknown.
	After time.Duration
	Times int    // changes that a Flapping event stands for
	Is    string // state after a Flapping event
}

// Bad reports whether the event is for the worse.
func (e Event) Bad() bool {
	switch e.Kind {
	case PeerFailed, TunnelDown, ProblemAppears, Flapping:
		return true
	}
	return false
}

// Object names what the event is about, as the history shows it.
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
// empty former state means that the object did not exist, an empty new state
// that it is gone.
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

// lasted adds to a state how long it lasted, if that is known.
func lasted(state string, d time.Duration) string {
	if d <= 0 {
		return state
	}
	return fmt.Sprintf("%s for %s", state, Round(d))
}

// Round shortens a duration to what a person wants to read: tenths of a second
// below ten seconds, whole seconds below an hour, and whole minutes beyond.
func Round(d time.Duration) time.Duration {
	switch {
	case d < 10*time.Second:
		return d.Round(100 * time.Millisecond)
	case d < time.Hour:
		return d.Round(time.Second)
	}
	return d.Round(time.Minute)
}
