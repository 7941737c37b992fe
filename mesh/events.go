package mesh

import (
	"context"
	"log/slog"
	"net/netip"
	"strings"
	"time"

	"github.com/gremesh/gremesh/bridge/probe"
	"github.com/gremesh/gremesh/mesh/events"
	"github.com/gremesh/gremesh/mesh/journal"
	"github.com/gremesh/gremesh/mesh/lease"
	"github.com/gremesh/gremesh/ovsdb"
)

// conclude publishes the outcome of a pass, and records the events since the
// previous pass in the log and in the history. The argument desired is nil
// while this host holds no lease. The result due is the time at which the
// events need another pass; zero: none. The caller must hold busy.
func (l *Loop) conclude(now time.Time, view View, desired *Desired, ovs ovsdb.State, o *outcome) (due time.Time) {
	problems := make([]string, 0, len(view.Problems)+len(o.problems))
	for _, list := range [][]Problem{view.Problems, o.problems} {
		for _, p := range list {
			problems = append(problems, p.What)
		}
	}
	var found []events.Event
	if is := (trackedPass{desired, ovs, o.ports != nil && ovs.Down == "", l.probed.changes}); desired != nil && l.tracked.same(is) {
		found = l.events.SameAgain(now, problems)
	} else {
		l.tracked = is
		found = l.events.Next(now, snapshot(view, o, is.seen, l.probed.paths), problems)
	}
	o.since = l.events.Since()
	l.last.Store(o)
	l.recordEvents(found)
	return l.events.Due()
}

// trackedPass identifies the pass that the tracker has seen last.
type trackedPass struct {
	desired *Desired
	ovs     ovsdb.State
	seen    bool   // Open vSwitch was observed, and ovs-vswitchd runs
	paths   uint64 // value of Prober.Changes
}

func (t trackedPass) same(other trackedPass) bool {
	return t.desired == other.desired && t.seen == other.seen && t.paths == other.paths && (!t.seen || t.ovs.Unchanged(other.ovs))
}

// snapshot returns the peers with the states of their tunnels. If seen is
// false, Open vSwitch was not observed, and the states are unknown.
func snapshot(view View, o *outcome, seen bool, paths map[netip.Addr]probe.Path) []events.Peer {
	peers := make([]events.Peer, 0, len(view.Peers))
	for i := range view.Peers {
		p := &view.Peers[i]
		is := events.Peer{ID: p.ID.String(), Name: p.Name, Underlay: p.Underlay, Liveness: string(p.Liveness)}
		if seen && view.Self.Subnet.IsValid() && !view.Self.Cut && p.Subnet.IsValid() && wantsTunnel(p, o.keep) {
			port, ok := o.port(is.ID)
			is.Tunnel = tunnelState(port, ok, paths[lease.Bip(p.Subnet).Addr()])
		}
		peers = append(peers, is)
	}
	return peers
}

// tunnelState returns whether a wanted tunnel carries packets. While the state
// of the path is not known yet, only BFD decides.
func tunnelState(port ovsdb.Port, ok bool, path probe.Path) events.State {
	if ok && works(&port) && (!port.Tunnel.BFD || port.BFD.State == "up") && path.State != probe.Down {
		return events.Up
	}
	return events.Down
}

// recordEvents writes events to the log and to the history.
func (l *Loop) recordEvents(found []events.Event) {
	if len(found) == 0 {
		return
	}
	changes := make([]journal.Change, 0, len(found))
	for _, e := range found {
		level, message, args := logLine(e)
		l.cfg.Log.Log(context.Background(), level, message, args...)
		was, is := e.States()
		changes = append(changes, journal.Change{
			Time: e.Time.UTC().Round(0), Event: string(e.Kind), Object: e.Object(), Was: was, Is: is, After: e.After.Seconds(),
		})
	}
	l.cfg.History.Append(changes...)
}

// logLine returns the log entry for an event.
func logLine(e events.Event) (level slog.Level, message string, args []any) {
	if e.Bad() {
		level = slog.LevelWarn
	}
	message = strings.ReplaceAll(string(e.Kind), "-", " ")
	switch e.Kind {
	case events.ProblemAppears, events.ProblemCleared:
		args = append(args, "problem", e.Text)
	case events.Flapping:
		args = append(args, "object", e.Text, "times", e.Times, "is", e.Is)
	default:
		args = append(args, "peer", e.Peer, "underlay", e.Underlay)
	}
	if e.After > 0 {
		args = append(args, "after", events.Round(e.After).String())
	}
	return level, message, args
}

// dated joins lists of problems and sets the start of each problem. A problem
// that no pass has seen yet starts now.
func (o *outcome) dated(lists ...[]Problem) []Problem {
	all := []Problem{}
	for _, list := range lists {
		for _, p := range list {
			if p.Since = o.since[p.What]; p.Since.IsZero() {
				p.Since = time.Now()
			}
			p.Since = p.Since.UTC().Truncate(time.Second)
			all = append(all, p)
		}
	}
	return all
}
