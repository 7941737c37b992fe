package mesh

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/gremesh/gremesh/bridge"
	"github.com/gremesh/gremesh/bridge/docker"
	"github.com/gremesh/gremesh/bridge/masq"
	"github.com/gremesh/gremesh/mesh/drift"
	"github.com/gremesh/gremesh/mesh/lease"
	"github.com/gremesh/gremesh/ovsdb"
)

// Who else changes the things that we keep, by the names of their processes.
// ovsdb-server is none of them: what a database has, it has after a restart.
const (
	dockerd  = "dockerd"
	vswitchd = "ovs-vswitchd"
)

const (
	viewChanged  = "the mesh has changed"
	unknownCause = "changed by another program" // for the desired state is what it was
	// settling is how long after its start a program may still be changing
	// things that a pass has seen in order meanwhile.
	settling = 5 * time.Second
)

// The scenes are the parts of this host as a pass saw or left them, and what
// they were to be. What differs between two of them is what causes are found by.
type (
	switchScene struct {
		at   time.Time
		view View
		want ovsdb.Switch
		have ovsdb.Actual
		kind string // of tunnels, unless a pair has another
	}
	dockerScene struct {
		at   time.Time
		want docker.Settings
	}
	hostScene struct {
		at    time.Time
		want  bridge.Host
		have  bridge.Actual
		peers []Host // sorted by ID
	}
	natScene struct {
		at   time.Time
		view View
		want masq.Rules
		have masq.Actual
	}
)

// young tells whether a process of the name was started lately.
type young func(name string) bool

// youngerThan tells which processes were started since the last scene.
func youngerThan(since time.Duration, ages func() map[string]time.Duration) young {
	return func(name string) bool {
		age, runs := ages()[name]
		return runs && age < since+settling
	}
}

// cause names what made a difference in Open vSwitch, last being the scene that
// the last pass left in order.
func (now switchScene) cause(last switchScene, started young, d drift.Drift) string {
	name := d.Key.Name
	was, wanted := tunnelOf(last.want, name)
	is, wants := tunnelOf(now.want, name)
	if !wanted && !wants {
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
	case d.Key.Kind == "fdb" && started(vswitchd):
		return vswitchd + " was restarted"
	case wanted && !had && d.Is == "":
		return "a conflicting port was removed"
	}
	return unknownCause
}

func tunnelOf(s ovsdb.Switch, name string) (ovsdb.Tunnel, bool) {
	i, is := slices.BinarySearchFunc(s.Tunnels, name, func(t ovsdb.Tunnel, name string) int { return cmp.Compare(t.Name, name) })
	if !is {
		return ovsdb.Tunnel{}, false
	}
	return s.Tunnels[i], true
}

// tunnelTo is the tunnel to a peer; zero if there is to be none.
func tunnelTo(s ovsdb.Switch, id string) ovsdb.Tunnel {
	i := slices.IndexFunc(s.Tunnels, func(t ovsdb.Tunnel) bool { return t.Peer.ID == id })
	if i < 0 {
		return ovsdb.Tunnel{}
	}
	return s.Tunnels[i]
}

// adopted is a port that was adopted, and so has another name than its tunnel.
func adopted(have ovsdb.Actual, name string) (ovsdb.Port, bool) {
	i := slices.IndexFunc(have.Ports, func(p ovsdb.Port) bool { return p.Ours && p.Adopted && p.Name == name })
	if i < 0 {
		return ovsdb.Port{}, false
	}
	return have.Ports[i], true
}

// viewCause names what has become of this host, or else of a peer, so that
// the tunnel to it is to be another. first is the type that pairs have unless
// they had to move to another.
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
	case is.Liveness == Failed: // and its grace is over
		return is.Name + " failed"
	case was.Liveness == Failed:
		return is.Name + " came back"
	}
	return viewChanged
}

// find is a peer among those of a View, which are sorted.
func find(peers []Host, id string) (Host, bool) {
	parsed, err := lease.ParseID(id)
	if err != nil { // a peer that is assumed has none
		return Host{}, false
	}
	i, is := slices.BinarySearchFunc(peers, parsed, func(h Host, id lease.ID) int { return h.ID.Compare(id) })
	if !is {
		return Host{}, false
	}
	return peers[i], true
}

// cause names what made a key of daemon.json differ.
func (now dockerScene) cause(last dockerScene) string {
	switch {
	case now.want.Bip != last.want.Bip:
		return "this host has another subnet"
	case now.want.MTU != last.want.MTU:
		return "the MTU has changed"
	}
	return unknownCause
}

// peerCause names what has become of a peer, or else returns other.
func (now natScene) peerCause(last natScene, other string) string {
	for _, id := range differing(last.view.Peers, now.view.Peers) {
		if why := viewCause(last.view, now.view, id.String(), ""); why != viewChanged {
			return why
		}
	}
	return other
}

// cause names what made a difference in the packet filter.
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
