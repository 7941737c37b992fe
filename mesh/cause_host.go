package mesh

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/gremesh/gremesh/bridge"
	"github.com/gremesh/gremesh/mesh/lease"
	"github.com/gremesh/gremesh/mesh/reconcile"
)

// cause returns the cause of a difference in the kernel. The argument remade is
// the reason why this pass created the bridge of Open vSwitch again; empty: it
// did not.
func (now hostScene) cause(last hostScene, started young, remade string, object reconcile.Key) string {
	switch {
	case now.want.Bridge == "":
		return "Docker has not been restarted yet, and docker0 has another address than the bip"
	case last.want.Bridge == "":
		return dockerd + " has the bip now"
	case now.want.Bip != last.want.Bip:
		return "this host has another subnet"
	case now.want.MTU != last.want.MTU:
		return "the MTU has changed"
	}
	if why := now.bridgeCause(last, object); why != "" {
		if started(dockerd) {
			return dockerd + " was restarted: " + why
		}
		return why
	}
	if why := now.peerCause(last, object); why != "" {
		return why
	}
	if object.Kind == "link" && object.Name == now.want.OVSPort {
		switch anew := now.have.OVSPort.Index != last.have.OVSPort.Index; {
		case anew && remade != "":
			return remade
		case started(vswitchd):
			return vswitchd + " was restarted"
		case anew:
			return now.want.OVSPort + " was created again"
		}
	}
	if started(dockerd) && strings.Contains(object.Name, now.want.Bridge) {
		return dockerd + " was restarted"
	}
	return unknownCause
}

// bridgeCause returns the change of Docker's bridge that explains a difference
// in an object. It returns an empty string if the object does not depend on
// such a change.
func (now hostScene) bridgeCause(last hostScene, object reconcile.Key) string {
	name := now.want.Bridge
	if object.Kind == "sysctl" && !strings.Contains(object.Name, name) {
		return ""
	}
	isPort := object.Kind == "link" && object.Name == now.want.OVSPort // its own MTU and state do not depend on Docker's bridge
	if isPort && object.Field != "master" {
		return ""
	}
	isRoute := object.Kind == "route"
	switch {
	case !now.have.Bridge.Exists:
		return name + " was deleted"
	case now.have.Bridge.Index != last.have.Bridge.Index:
		return name + " was created again"
	case !slices.Equal(now.have.Addrs, last.have.Addrs) && (isRoute || object.Kind == bridge.KindAddress):
		return fmt.Sprintf("%s was re-addressed (%s -> %s)", name, bridge.Addresses(last.have.Addrs), bridge.Addresses(now.have.Addrs))
	case last.have.Bridge.Up && !now.have.Bridge.Up && isRoute:
		return name + " was taken down"
	}
	return ""
}

// peerCause returns the change of the peer that an object leads to.
func (now hostScene) peerCause(last hostScene, object reconcile.Key) string {
	is, wanted := peerBehind(now.want.Peers, object)
	was, known := peerBehind(last.want.Peers, object)
	switch {
	case wanted && !known:
		return now.holderCause(last, now.peers, is.Bip.Masked())
	case known && !wanted:
		return now.holderCause(last, last.peers, was.Bip.Masked())
	case is.Via.IsValid() && !was.Via.IsValid():
		return fmt.Sprintf("the host with %s needs no tunnel: it is in this host's underlay subnet, and both take direct packets", is.Bip.Masked())
	case was.Via.IsValid() && !is.Via.IsValid():
		return fmt.Sprintf("the host with %s needs a tunnel: it has left this host's underlay subnet, or one of the two takes no direct packets", is.Bip.Masked())
	case is.Via != was.Via:
		return fmt.Sprintf("the host with %s has moved from %s to %s", is.Bip.Masked(), was.Via, is.Via)
	}
	return ""
}

// holderCause returns the change of the peer that holds a subnet, according to
// the list peers.
func (now hostScene) holderCause(last hostScene, peers []Host, subnet netip.Prefix) string {
	i := slices.IndexFunc(peers, func(h Host) bool { return h.Subnet == subnet })
	if i < 0 {
		return fmt.Sprintf("the host with %s has changed", subnet)
	}
	return viewCause(View{Peers: last.peers}, View{Peers: now.peers}, peers[i].ID.String(), "")
}

// peerBehind returns the peer that a route, neighbour or FDB entry is for. The
// list must be sorted by bip.
func peerBehind(peers []bridge.Peer, object reconcile.Key) (bridge.Peer, bool) {
	var bip netip.Addr
	name := object.Name
	switch object.Kind {
	case "route":
		if subnet, err := netip.ParsePrefix(name); err == nil {
			bip = lease.Bip(subnet).Addr()
		}
	case "neighbour":
		bip, _ = netip.ParseAddr(name)
	case "fdb":
		if mac, err := net.ParseMAC(name); err == nil && len(mac) == 6 {
			bip = netip.AddrFrom4([4]byte(mac[2:]))
		}
	}
	i, is := slices.BinarySearchFunc(peers, bip, func(p bridge.Peer, bip netip.Addr) int { return p.Bip.Addr().Compare(bip) })
	if !is {
		return bridge.Peer{}, false
	}
	return peers[i], true
}

// isDetached reports whether docker0 is kept out of the mesh, because it has
// another address than the bip and Docker is not settled.
func (now hostScene) isDetached(settled bool) bool {
	return !settled && now.have.Bridge.Exists && !slices.Contains(now.have.Addrs, now.want.Bip)
}
