package mesh

import (
	"fmt"
	"time"

	"github.com/gremesh/gremesh/ovsdb"
)

// silenceLimit is how long a tunnel's BFD session may take to come up. Between
// two hosts that reach each other it takes 2 s.
const silenceLimit = 10 * time.Second

// silences tells since when nothing is heard from peers by their tunnel, by ID:
// those whose agents answer and have tunnels of their own. before is what it was
// at the last look.
func silences(now time.Time, before map[string]time.Time, peers []Host, want ovsdb.Switch, ports map[string]ovsdb.Port) map[string]time.Time {
	ready := make(map[string]bool)
	for _, peer := range peers {
		ready[peer.ID.String()] = peer.Liveness == Alive && peer.Tunnels.Want > 0
	}
	since := make(map[string]time.Time)
	for _, t := range want.Tunnels {
		port := ports[t.Peer.ID]
		if !t.BFD || !ready[t.Peer.ID] || port.OfPort <= 0 || port.Error != "" || port.BFD.State == "up" {
			continue
		}
		since[t.Peer.ID] = now
		if was, known := before[t.Peer.ID]; known {
			since[t.Peer.ID] = was
		}
	}
	return since
}

// filtered is a problem for each tunnel that has been silent for too long.
func filtered(now time.Time, silent map[string]time.Time, want ovsdb.Switch, ports map[string]ovsdb.Port) []Problem {
	var problems []Problem
	for _, t := range want.Tunnels {
		since, is := silent[t.Peer.ID]
		if !is || now.Sub(since) < silenceLimit {
			continue
		}
		protocol, name := "IP protocol 47", "GRE"
		if t.Type == "vxlan" {
			protocol, name = "UDP port 4789", "VXLAN"
		}
		direction := "from"
		if ports[t.Peer.ID].BFD.State == "init" { // it is heard, and does not hear us (RFC 5880, section 6.2)
			direction = "gets to"
		}
		problems = append(problems, Problem{
			What: fmt.Sprintf("no %s %s %s (%s) although its agent answers: %s is filtered between the two",
				name, direction, t.Peer.Name, t.Remote, protocol),
			Do: fmt.Sprintf("allow %s (%s) between the underlay addresses", protocol, name),
		})
	}
	return problems
}
