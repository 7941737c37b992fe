package mesh

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/gremesh/gremesh/bridge"
	"github.com/gremesh/gremesh/bridge/docker"
	"github.com/gremesh/gremesh/bridge/filter"
	"github.com/gremesh/gremesh/mesh/drift"
	"github.com/gremesh/gremesh/mesh/lease"
	"github.com/gremesh/gremesh/ovsdb"
)

// Names of the processes that may change the objects that gremesh configures.
// ovsdb-server is not among them, because a restart does not change its
// database.
const (
	dockerd  = "dockerd"
	vswitchd = "ovs-vswitchd"
)

const (
	viewChanged  = "the mesh has changed"
	unknownCause = "changed by another program" // because the desired state has not changed
	// settling is how long after its start a program may still change objects,
	// even if a pass has seen them in order since that start.
	settling = 5 * time.Second
)

// A scene is one component as a pass observed or left it, with its desired
// state. The differences between two scenes show the cause of a change.
type (
	switchScene struct {
		at   time.Time
		view View
		want ovsdb.Spec
		have ovsdb.State
		kind string // type of tunnels, unless a pair has another
	}
	dockerScene struct{ want docker.Settings }
	hostScene   struct {
		at    time.Time
		want  bridge.Spec
		have  bridge.State
		peers []Host // sorted by ID
	}
	natScene struct {
		at   time.Time
		view View
		want filter.Rules
		have filter.State
	}
)

// young reports whether a process with that name was started recently.
type young func(name string) bool

// youngerThan returns a function that reports whether a process was started
// since the last scene.
func youngerThan(since time.Duration, ages func() map[string]time.Duration) young {
	return func(name string) bool {
		age, runs := ages()[name]
		return runs && age < since+settling
	}
}

// cause returns the cause of a difference in Open vSwitch. The argument last is
// the scene of the last pass that left Open vSwitch in order.
func (now switchScene) cause(last switchScene, started young, d drift.Drift) string {
	name := d.Key.Name
	was, wanted := tunnelOf(last.want, name)
	is, wants := tunnelOf(now.want, name)
	switch {
	case d.Key.Kind == "flows": // their name is the bridge's
		was, is = tunnelTo(last.want, d.Peer), tunnelTo(now.want, d.Peer)
	case !wanted && !wants:
		if p, ok := adopted(now.have, name); ok {
			was, is = tunnelTo(last.want, p.Peer.ID), tunnelTo(now.want, p.Peer.ID)
		}
	}
	if was != is {
		return viewCause(last.view, now.view, cmp.Or(is.Peer.ID, was.Peer.ID), now.kind)
	}
	if now.want.MTU != last.want.MTU && d.Key.Field == "mtu_request" {
		return "the MTU has changed"
	}
	had := slices.ContainsFunc(last.have.Ports, func(p ovsdb.Port) bool { return p.Ours && p.Peer.ID == is.Peer.ID })
	switch {
	case now.want.Mesh != last.want.Mesh:
		return "this host is in another mesh"
	case now.have.Database != last.have.Database:
		return "the database of Open vSwitch was emptied"
	case !now.have.Bridge.Exists && wanted:
		return now.want.Bridge + " was deleted"
	case (d.Key.Kind == "fdb" || d.Key.Kind == "flows") && started(vswitchd):
		return vswitchd + " was restarted"
	case wanted && !had && d.Is == "":
		return "a conflicting port was removed"
	}
	return unknownCause
}

func tunnelOf(s ovsdb.Spec, name string) (ovsdb.Tunnel, bool) {
	i, is := slices.BinarySearchFunc(s.Tunnels, name, func(t ovsdb.Tunnel, name string) int { return cmp.Compare(t.Name, name) })
	if !is {
		return ovsdb.Tunnel{}, false
	}
	return s.Tunnels[i], true
}

// tunnelTo returns the desired tunnel to a peer; zero if there is none.
func tunnelTo(s ovsdb.Spec, id string) ovsdb.Tunnel {
	i := slices.IndexFunc(s.Tunnels, func(t ovsdb.Tunnel) bool { return t.Peer.ID == id })
	if i < 0 {
		return ovsdb.Tunnel{}
	}
	return s.Tunnels[i]
}

// adopted returns the adopted port with that name. Its name differs from the
// name of its tunnel.
func adopted(have ovsdb.State, name string) (ovsdb.Port, bool) {
	i := slices.IndexFunc(have.Ports, func(p ovsdb.Port) bool { return p.Ours && p.Adopted && p.Name == name })
	if i < 0 {
		return ovsdb.Port{}, false
	}
	return have.Ports[i], true
}

// viewCause returns the change of this host, or otherwise of a peer, that led
// to another desired tunnel. The argument first is the type that pairs have
// unless they had to change it.
func viewCause(last, now View, id, first string) string {
	switch {
	case now.Self.Cut && !last.Self.Cut, now.Lost && !last.Lost:
		return "this host has lost its subnet to another"
	case last.Self.Cut && !now.Self.Cut, last.Lost && !now.Lost:
		return "this host has another subnet"
	case now.Self.Underlay != last.Self.Underlay:
		return fmt.Sprintf("this host moved to %s", now.Self.Underlay)
	}
	was, knew := find(last.Peers, id)
	is, knows := find(now.Peers, id)
	switch {
	case !knows:
		return was.Name + " is gone"
	case is.Liveness == Left:
		return is.Name + " left"
	case !is.Subnet.IsValid():
		return is.Name + " holds no subnet any more"
	case is.Cut:
		return is.Name + " has lost its subnet to another host"
	case !knew, !was.Subnet.IsValid(), was.Liveness == Left:
		return is.Name + " joined"
	case is.Subnet != was.Subnet:
		return is.Name + " has another subnet"
	case is.Underlay != was.Underlay:
		return fmt.Sprintf("%s moved to %s", is.Name, is.Underlay)
	case !slices.Equal(last.Settings, now.Settings):
		return fmt.Sprintf("the mesh settings were changed (version %d)", now.SettingsVersion)
	case is.Tunnel != was.Tunnel && is.Tunnel == first && was.Tunnel != "":
		return fmt.Sprintf("%s is tried again with %s", is.Tunnel, is.Name)
	case is.Tunnel != was.Tunnel && was.Tunnel != "":
		protocol, _ := protocolOf(was.Tunnel)
		return fmt.Sprintf("%s is filtered between here and %s", protocol, is.Name)
	case is.Name != was.Name:
		return fmt.Sprintf("%s was renamed to %s", was.Name, is.Name)
	case is.Liveness == Failed: // and its grace period is over
		return is.Name + " failed"
	case was.Liveness == Failed:
		return is.Name + " came back"
	}
	return viewChanged
}

// find returns the peer with that ID. The peers must be sorted by ID, as in a
// View.
func find(peers []Host, id string) (Host, bool) {
	parsed, err := lease.ParseID(id)
	if err != nil { // an assumed peer has no ID
		return Host{}, false
	}
	i, is := slices.BinarySearchFunc(peers, parsed, func(h Host, id lease.ID) int { return h.ID.Compare(id) })
	if !is {
		return Host{}, false
	}
	return peers[i], true
}

// cause returns the cause of a difference in daemon.json.
func (now dockerScene) cause(last dockerScene) string {
	switch {
	case now.want.Bip != last.want.Bip:
		return "this host has another subnet"
	case now.want.MTU != last.want.MTU:
		return "the MTU has changed"
	}
	return unknownCause
}

// peerCause returns the change of a peer; if there is none, it returns other.
func (now natScene) peerCause(last natScene, other string) string {
	for _, id := range differing(last.view.Peers, now.view.Peers) {
		if why := viewCause(last.view, now.view, id.String(), ""); why != viewChanged {
			return why
		}
	}
	return other
}

// cause returns the cause of a difference in the packet filter.
func (now natScene) cause(last natScene, started young) string {
	switch {
	case now.view.Self.Cut != last.view.Self.Cut, now.view.Self.Underlay != last.view.Self.Underlay:
		return viewCause(last.view, now.view, "", "")
	case now.want.Subnet != last.want.Subnet:
		return "this host has another subnet"
	case !slices.Equal(now.want.Forward, last.want.Forward):
		return "the routes to peers have changed"
	case now.want.Guard.Settled != last.want.Guard.Settled:
		return "docker0's address has changed to or from this host's subnet"
	case now.want.Keep != last.want.Keep || !slices.Equal(now.want.NonMasquerade, last.want.NonMasquerade):
		return now.peerCause(last, "the operator says so (masquerade)")
	case !sameRules(now.want, last.want):
		return now.peerCause(last, "tunnels of this host were added or removed")
	case started(dockerd):
		return dockerd + " was restarted"
	}
	return unknownCause
}
