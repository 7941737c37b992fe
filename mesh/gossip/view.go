package gossip

import (
	"cmp"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/gremesh/gremesh/mesh"
	"github.com/gremesh/gremesh/mesh/lease"
	"github.com/gremesh/gremesh/mesh/settings"
)

const renumber = "run `gremesh renumber`, which gives this host another subnet and restarts Docker; " +
	"it happens by itself once no container is attached to docker0"

// conflictSince returns when this host first saw the conflict that it lost.
func (n *Node) conflictSince() time.Time {
	if n.conflict.IsZero() {
		n.conflict = time.Now()
	}
	return n.conflict
}

// missing is a host that should be alive but is not.
type missing struct {
	at   netip.AddrPort
	seen time.Time // when it was last alive
}

// refresh publishes a new view. It signals Changed if the new view differs from
// the last one.
func (n *Node) refresh() {
	n.refreshed, n.viewDirty = time.Now(), false
	view := mesh.View{Mesh: n.mesh, Problems: n.problems.list()}
	own := n.effectiveLease()
	view.Self = mesh.Host{
		ID: n.self, Name: n.cfg.Name, Underlay: n.cfg.Underlay.Addr(), Liveness: mesh.Alive, Tunnels: *n.tunnels.Load(),
		Direct: n.directNetwork(), MTU: n.lowestPath(),
	}
	view.SettingsVersion = n.persistedSettings.Version
	if !n.persistedSettings.IsZero() {
		view.Settings = settings.Pinned(n.persistedSettings.Values, n.cfg.Pins)
	}
	switch {
	case own.State != lease.Held:
		view.Waiting = n.waiting()
	case n.persistedSettings.IsZero():
		view.Waiting = "the settings of the mesh are not known yet: no host that knows them has been met"
	default:
		view.Self.Subnet = own.Subnet
	}
	view.Problems = append(view.Problems, settingsProblems(n.persistedSettings.Values, n.cfg.Pins)...)
	stuck := own.State != lease.Held && n.joinError.Load() == nil && n.machine.Waiting().Exhausted
	if stuck && !n.exhaustedLogged {
		n.cfg.Log.Warn("there is no subnet for this host; it waits until one is free", "why", view.Waiting)
	}
	n.exhaustedLogged = stuck

	lost := make(map[lease.ID]lease.Record) // the winner of the conflict, by the ID of the loser
	for _, c := range n.machine.Table().Conflicts(n.hasMet) {
		lost[c.Loser.Host] = c.Winner
	}
	if own.Version > 0 {
		n.sightings.update(own, true)
	}
	absent := []missing{}
	for r := range n.machine.Table().All() {
		if _, ok := n.members[r.Host]; !ok && r.Host != n.self && (r.State == lease.Held || r.State == lease.Claiming) {
			absent = append(absent, missing{at: r.Underlay, seen: n.sightings.get(r.Host).Seen})
		}
		if r.Host != n.self {
			view.Peers = append(view.Peers, n.peer(r, lost))
		}
	}
	for id, m := range n.members {
		if _, ok := n.machine.Table().Get(id); !ok {
			view.Peers = append(view.Peers, mesh.Host{
				ID: id, Name: m.meta.Name, Underlay: m.underlay.Addr(), Liveness: unproved[n.isPresent(id)], Tunnels: m.meta.Tunnels,
				Path: n.pathTo(m.underlay.Addr()), MTU: m.meta.MTU,
			})
		}
	}
	view.SortPeers()
	view.Problems = append(view.Problems, n.nameProblems()...)
	view.Problems = append(view.Problems, n.forcedProblems()...)
	if winner, ok := lost[n.self]; ok {
		view.Self.Cut, view.Lost = true, true
		view.Problems = append(view.Problems, mesh.Problem{
			What: fmt.Sprintf("conflict since %s: %s is held by this host (%s at %s) and by %s (%s at %s), whose lease is older; "+
				"this host has no tunnels. Its containers keep running",
				n.conflictSince().UTC().Format(time.RFC3339), own.Subnet, n.self, n.cfg.Underlay.Addr(),
				winner.Name, winner.Host, winner.Underlay.Addr()),
			Do: renumber,
		})
	} else {
		n.conflict = time.Time{}
	}
	if w := n.machine.Waiting(); own.State == lease.Forgotten && w.Exhausted && !n.cfg.Fixed.IsValid() {
		view.Lost = true
		view.Problems = append(view.Problems, mesh.Problem{
			What: fmt.Sprintf("this host's lease for %s was forgotten while it was offline, and the subnet is now %s; "+
				"this host has no tunnels. Its containers keep running", own.Subnet, n.occupants(own.Subnet)),
			Do: renumber,
		})
	}
	if fixed := n.cfg.Fixed; fixed.IsValid() && own.State == lease.Held && own.Subnet != fixed {
		view.Problems = append(view.Problems, mesh.Problem{
			What: fmt.Sprintf("the configured bip lies in %s, which this host can't have: it is %s", fixed, cmp.Or(n.occupants(fixed), "being asked for")),
			Do:   fmt.Sprintf("change bip, or free the subnet; until then this host keeps %s", own.Subnet),
		})
	}
	slices.SortFunc(absent, func(a, b missing) int { return b.seen.Compare(a.seen) })
	n.missingPeers.Store(&absent)
	if old := n.view.Swap(&view); old == nil || viewChanged(*old, view) {
		notify(n.changed)
	}
	if view.Mesh != n.delegate.meta.Load().Mesh { // only after the new view is stored, because advertiseLoop reads Mesh from it
		notify(n.publish)
	}
}

// effectiveLease returns the lease record that this host may act on. A new lease
// takes effect once it is on disk. A lease lost to another host ends
// immediately, even if the disk is full.
func (n *Node) effectiveLease() lease.Record {
	if now := n.machine.Own(); n.persistedOwn.State == lease.Held && (now.State == lease.Forgotten || now.State == lease.Claiming) {
		return now
	}
	return n.persistedOwn
}

// viewChanged reports whether two views differ in the fields that matter
// to a reconcile pass. A pass of a host without a lease does nothing, so
// changes of other hosts do not matter then. The tunnel counts are only for
// status. They do not matter either, because each host's count changes with
// each of its tunnels while a mesh forms.
func viewChanged(a, b mesh.View) bool {
	if !a.Self.Subnet.IsValid() && !b.Self.Subnet.IsValid() && a.Lost == b.Lost {
		return false
	}
	same := slices.EqualFunc(a.Peers, b.Peers, func(x, y mesh.Host) bool {
		x.Tunnels = y.Tunnels
		return x == y
	})
	a.Peers, b.Peers, a.Self.Tunnels = nil, nil, b.Self.Tunnels
	return !same || !reflect.DeepEqual(a, b)
}

// unproved is the liveness of a host that has no record yet. The key reports
// whether the host has answered a challenge.
var unproved = map[bool]mesh.Liveness{true: mesh.Alive, false: mesh.Failed}

// peer combines the record of another host with memberlist's information about
// it.
func (n *Node) peer(r lease.Record, lost map[lease.ID]lease.Record) mesh.Host {
	m := n.members[r.Host]
	alive := n.isAlive(r.Host)
	host := mesh.Host{
		ID: r.Host, Name: r.Name, Underlay: r.Underlay.Addr(), Liveness: liveness(r, alive),
	}
	sighting := n.sightings.update(r, alive)
	if !alive {
		host.Since, host.Direct = sighting.Seen, sighting.Direct
	}
	if r.State == lease.Held {
		host.Subnet = r.Subnet
	}
	if alive {
		host.Underlay, host.Tunnels, host.Direct, host.MTU = m.underlay.Addr(), m.meta.Tunnels, m.meta.Direct, m.meta.MTU
	}
	host.Path = n.pathTo(host.Underlay)
	n.sightingsDirty = sighting.remember(&host) || host.Direct != sighting.Direct || n.sightingsDirty
	sighting.Direct = host.Direct
	told := n.receivedOffers[r.Host]
	host.Tunnel, host.Silent, host.Retry = told.Type, told.Silent, told.Retry
	_, host.Cut = lost[r.Host]
	return host
}

// liveness returns the liveness of a host. alive reports whether gossip regards
// the host as alive.
func liveness(r lease.Record, alive bool) mesh.Liveness {
	switch {
	case r.State == lease.Left, !alive && (r.State == lease.Released || r.State == lease.Forgotten):
		return mesh.Left
	case alive:
		return mesh.Alive
	}
	return mesh.Failed
}

// waiting returns the reason why this host holds no lease.
func (n *Node) waiting() string {
	if why := n.joinError.Load(); why != nil {
		return "no host could be joined yet: " + *why
	}
	w := n.machine.Waiting()
	switch {
	case w.Exhausted && w.Only.IsValid():
		return fmt.Sprintf("this host may take %s only, which is %s", w.Only, n.occupants(w.Only))
	case w.Exhausted:
		return n.exhausted()
	case w.Subnet.IsValid():
		return fmt.Sprintf("claims %s: %s", w.Subnet, n.voices(w))
	case !w.Oldest.IsZero():
		r, _ := n.machine.Table().Get(w.Oldest)
		return fmt.Sprintf("every host has left the mesh, and %s (%s), whose lease is the oldest, must come back first: start its agent or, if it is gone for good, run `gremesh forget --force %s`",
			n.label(r), r.Underlay.Addr(), n.word(r))
	}
	for _, id := range w.Silent {
		if r, _ := n.machine.Table().Get(id); !n.isAlive(id) {
			return fmt.Sprintf("no host is known to hold a lease, but %s (%s) may have got the one that it claimed: start its agent or, if it is gone for good, run `gremesh forget --force %s`",
				n.label(r), r.Underlay.Addr(), n.word(r))
		}
	}
	return "no host that holds a lease is known yet"
}

// voices returns a text with the number of hosts that granted a claim and the
// names of those that did not.
func (n *Node) voices(w lease.Waiting) string {
	text := fmt.Sprintf("granted by %d", w.Granted)
	silent := slices.DeleteFunc(slices.Clone(w.Silent), func(id lease.ID) bool { return slices.Contains(w.Lost, id) })
	if len(silent) > 0 || len(w.Lost) == 0 {
		text += ", no answer from " + n.names(silent)
	}
	if len(w.Lost) > 0 {
		text += fmt.Sprintf(", and no vote of %s, which lost state_dir/state.json and must get its own lease first", n.names(w.Lost))
	}
	return text
}

// names returns the hosts with their addresses, sorted and joined.
func (n *Node) names(hosts []lease.ID) string {
	var names []string
	for _, id := range hosts {
		r, _ := n.machine.Table().Get(id)
		names = append(names, fmt.Sprintf("%s (%s)", n.label(r), r.Underlay.Addr()))
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// occupants returns the hosts whose records occupy a subnet, with their states.
func (n *Node) occupants(subnet netip.Prefix) string {
	var names []string
	for r := range n.machine.Table().Occupants(subnet) {
		names = append(names, fmt.Sprintf("%s by %s (%s)", r.State, n.label(r), r.Underlay.Addr()))
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}
