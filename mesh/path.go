package mesh

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/gremesh/gremesh/bridge/probe"
	"github.com/gremesh/gremesh/mesh/lease"
	"github.com/gremesh/gremesh/ovsdb"
)

// Prober probes the paths from this host's docker0 to the docker0 of each peer,
// through the tunnels. The key of a path is the peer's bip.
type Prober interface {
	Set(probe.Targets)
	Paths() map[netip.Addr]probe.Path
	Path(to netip.Addr) probe.Path
	Changes() uint64 // changes whenever the state of a path, or Trouble, changes
	Changed() <-chan struct{}
	Trouble() error // the reason why nothing is known about any path
}

// PathStatus is the state of the path to a peer, as measured by probes.
type PathStatus struct {
	Up        bool       `json:"up"`                           // the last probes were answered
	RoundTrip float64    `json:"round_trip_seconds,omitempty"` // median of the last 20 probes; 0: not known
	Loss      float64    `json:"loss"`                         // of the last 20 probes, from 0 to 1
	Since     *time.Time `json:"since,omitempty"`              // time of the last change of Up; nil: not known yet whether the path is up
	SmallOnly bool       `json:"small_only,omitempty"`         // packets of docker0's MTU are lost
	Sent      uint64     `json:"probes_sent"`                  // since the first probe of this path
	Lost      uint64     `json:"probes_lost"`                  // how many of these got no answer
}

func pathStatus(p probe.Path) *PathStatus {
	s := &PathStatus{
		Up: p.State == probe.Up, RoundTrip: p.RoundTrip.Seconds(), Loss: p.Loss, SmallOnly: p.Full == probe.Down, Sent: p.Sent, Lost: p.Lost,
	}
	if !p.Since.IsZero() {
		since := p.Since.Round(0)
		s.Since = &since
	}
	return s
}

// States of a path in a [Cell].
const (
	PathUnknown   = "unknown" // no result yet
	PathUp        = "up"
	PathDown      = "down"
	PathSmallOnly = "small-only" // packets of docker0's MTU are lost
)

func pathWord(p probe.Path) string {
	switch {
	case p.State == probe.Down:
		return PathDown
	case p.State == probe.Up && p.Full == probe.Down:
		return PathSmallOnly
	case p.State == probe.Up:
		return PathUp
	}
	return PathUnknown
}

// bipOf returns the address that is the key of the path through a tunnel.
func bipOf(t *ovsdb.Tunnel) netip.Addr { return lease.Bip(t.Peer.Subnet).Addr() }

// targets returns the paths of all tunnels that this host should have.
func targets(desired *Desired) probe.Targets {
	if desired == nil {
		return probe.Targets{}
	}
	t := probe.Targets{Self: desired.Docker.Bip.Addr(), Peers: make([]netip.Addr, 0, len(desired.Switch.Tunnels))}
	for i := range desired.Switch.Tunnels {
		t.Peers = append(t.Peers, bipOf(&desired.Switch.Tunnels[i]))
	}
	return t
}

const (
	// If a tunnel fails, BFD and the probe both detect it, but not at the same
	// moment. Without this grace period, a failed tunnel would be reported as a
	// failed path.
	pathGrace = 2 * time.Second
	// The two ends of a new tunnel are created one after the other.
	firstGrace = 10 * time.Second
	// If more paths than this fail at once, they have one cause. Then one
	// problem replaces the single ones.
	manyPaths = 10
)

const pathRemedy = "gremesh audit, here and on that host; gremesh audit --mesh shows all paths"

// contrary holds the paths that are down although their tunnels are up, with
// the time when a pass first saw that.
type contrary map[netip.Addr]time.Time

// pathProblems returns a problem for each path that carries no packets although
// its tunnel is up, and for each path that carries only small packets. The
// argument before is the result seen of the previous call. The result again is
// the time of the next call; zero if no call is due.
func pathProblems(now time.Time, tunnels []ovsdb.Tunnel, ports func() map[string]ovsdb.Port, paths map[netip.Addr]probe.Path, before contrary) (found []Problem, seen contrary, again time.Time) {
	seen = make(contrary)
	for i := range tunnels {
		t := &tunnels[i]
		path := paths[bipOf(t)]
		switch {
		case path.State == probe.Up && path.Full == probe.Down:
			found = append(found, Problem{
				What: fmt.Sprintf("only small packets pass the path to %s (%s): those of docker0's MTU are lost", t.Peer.Name, t.Remote),
				Do:   fmt.Sprintf("compare the MTUs of the devices between the hosts: ip link; tracepath -n %s; %s", t.Remote, pathRemedy),
			})
		case path.State == probe.Down:
			port, made := ports()[t.Peer.ID]
			if !made || t.BFD && port.BFD.State != "up" { // the failed tunnel is a problem of its own
				continue
			}
			since, known := before[bipOf(t)]
			if !known {
				since = now
			}
			seen[bipOf(t)] = since
			certain := since.Add(pathGrace)
			if first := path.Begun.Add(firstGrace); !path.Was && first.After(certain) {
				certain = first
			}
			if now.Before(certain) {
				again = sooner(again, certain)
				continue
			}
			what := fmt.Sprintf("the path to %s (%s) carries no packets, although its tunnel is up", t.Peer.Name, t.Remote)
			if !t.BFD {
				what = fmt.Sprintf("the path to %s (%s) carries no packets", t.Peer.Name, t.Remote)
			}
			found = append(found, Problem{What: what, Do: pathRemedy})
		}
	}
	if len(found) > manyPaths {
		found = []Problem{{
			What: "the paths to many peers carry no packets, or only small ones: gremesh status has them",
			Do:   "gremesh audit; gremesh audit --mesh shows all paths",
		}}
	}
	return found, seen, again
}

// pathsSeen holds the paths as the last pass knew them.
type pathsSeen struct {
	changes  uint64
	paths    map[netip.Addr]probe.Path
	desired  *Desired // the desired state whose targets are probed
	contrary contrary
	complete bool
}

// probe starts probing the paths of the desired tunnels, and returns what is
// known about them. Without a Prober it returns nil.
func (l *Loop) probe(desired *Desired) *pathsSeen {
	if l.cfg.Prober == nil {
		return nil
	}
	seen := &l.probed
	if seen.desired != desired || !seen.complete {
		l.cfg.Prober.Set(targets(desired))
		seen.desired = desired
	}
	if changes := l.cfg.Prober.Changes(); changes != seen.changes || !seen.complete {
		seen.changes, seen.paths = changes, l.cfg.Prober.Paths()
		l.seen.counted = nil
	}
	seen.complete = true
	return seen
}

// carries reports whether the path of a tunnel is up for packets of all sizes.
// It returns true if paths are not probed.
func (s *pathsSeen) carries(t *ovsdb.Tunnel) bool {
	return s == nil || pathWord(s.paths[bipOf(t)]) == PathUp
}

// judgePaths returns the problems of the paths, and the time at which they must
// be judged again. While Open vSwitch is down, it returns none, because that is
// a problem of its own.
func (l *Loop) judgePaths(now time.Time, desired *Desired, ovs ovsdb.State, seen *pathsSeen) ([]Problem, time.Time) {
	if seen == nil || ovs.Down != "" {
		return nil, time.Time{}
	}
	if problems := l.unprobed(); len(problems) > 0 {
		return problems, time.Time{}
	}
	found, contrary, again := pathProblems(now, desired.Switch.Tunnels, l.ours(ovs), seen.paths, seen.contrary)
	seen.contrary = contrary
	return found, again
}

// PathsAudit summarizes the paths to all peers.
type PathsAudit struct {
	Wanted   int       `json:"wanted"` // 0 if paths are not probed
	Up       int       `json:"up"`
	Least    float64   `json:"least_round_trip_seconds"` // of the paths that are up
	Most     float64   `json:"most_round_trip_seconds"`
	Loss     float64   `json:"loss"`     // of the last probes of all paths, from 0 to 1
	Problems []Problem `json:"problems"` // not empty: packets are lost
}

func (l *Loop) auditPaths(desired *Desired, last *outcome) PathsAudit {
	audit := PathsAudit{Problems: append([]Problem{}, last.paths...)}
	if l.cfg.Prober == nil || desired == nil {
		return audit
	}
	paths := l.cfg.Prober.Paths()
	for i := range desired.Switch.Tunnels {
		path := paths[bipOf(&desired.Switch.Tunnels[i])]
		audit.Wanted++
		audit.Loss += path.Loss
		if path.State != probe.Up {
			continue
		}
		rtt := path.RoundTrip.Seconds()
		if audit.Up++; audit.Up == 1 {
			audit.Least = rtt
		}
		audit.Least, audit.Most = min(audit.Least, rtt), max(audit.Most, rtt)
	}
	audit.Loss /= float64(max(audit.Wanted, 1))
	return audit
}

// maxRoundTrip is an upper bound in seconds for a round trip. No host measures
// more, because a probe counts as lost before that.
const maxRoundTrip = 10

// addPaths adds the results of the probes to the tunnels of a row.
func (l *Loop) addPaths(cells []Cell) {
	if l.cfg.Prober == nil {
		return
	}
	paths := l.cfg.Prober.Paths()
	for i := range cells {
		if c := &cells[i]; c.Desired && c.Subnet.IsValid() {
			path := paths[lease.Bip(c.Subnet).Addr()]
			c.Path, c.RoundTrip, c.Loss = pathWord(path), min(path.RoundTrip.Seconds(), maxRoundTrip), path.Loss
		}
	}
}

// pathChanges returns a channel that receives after a path has changed.
func (l *Loop) pathChanges() <-chan struct{} {
	if l.cfg.Prober == nil {
		return nil
	}
	return l.cfg.Prober.Changed()
}

// unprobed returns a problem if the paths cannot be probed.
func (l *Loop) unprobed() []Problem {
	if l.cfg.Prober == nil {
		return nil
	}
	err := l.cfg.Prober.Trouble()
	if err == nil {
		return nil
	}
	return []Problem{{
		What: fmt.Sprintf("the paths to peers are not probed, so no tunnel counts as up: %s", err),
		Do:   "start the agent as root, with CAP_NET_RAW: systemctl cat gremesh; journalctl -u gremesh",
	}}
}
