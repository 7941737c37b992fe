package mesh

import (
	"context"
	"fmt"
	"sync"

	"github.com/gremesh/gremesh/bridge/docker"
	"github.com/gremesh/gremesh/bridge/filter"
	"github.com/gremesh/gremesh/mesh/drift"
	"github.com/gremesh/gremesh/mesh/lease"
	"github.com/gremesh/gremesh/ovsdb"
)

// ourPorts returns gremesh's ports by the ID of the peer that they lead to. An
// adopted port has another name than the plan gives it, so the name cannot be
// the key.
func ourPorts(ovs ovsdb.State) map[string]ovsdb.Port {
	ports := make(map[string]ovsdb.Port)
	for _, port := range ovs.Ports {
		if port.Ours {
			ports[port.Peer.ID] = port
		}
	}
	return ports
}

// portsOf returns a function that computes ourPorts on its first call. Most
// passes do not need the result, and with five thousand ports it takes long.
func portsOf(ovs ovsdb.State) func() map[string]ovsdb.Port {
	return sync.OnceValue(func() map[string]ovsdb.Port { return ourPorts(ovs) })
}

// countTunnels counts the desired tunnels and those that carry traffic. A
// tunnel carries traffic if its path is up, and its BFD session is up. Without
// BFD, Open vSwitch must have set up the port instead. Tunnels that silent
// peers keep do not count, because the total of the mesh does not count those
// peers.
func countTunnels(peers []Host, want ovsdb.Spec, ovs ovsdb.State, ports func() map[string]ovsdb.Port, carries func(*ovsdb.Tunnel) bool) TunnelCount {
	silent := make(map[string]bool)
	for i := range peers {
		if p := &peers[i]; p.Liveness != Alive && p.Subnet.IsValid() {
			silent[p.ID.String()] = true
		}
	}
	var count TunnelCount
	next := 0 // both lists are sorted by name
	for i := range want.Tunnels {
		t := &want.Tunnels[i]
		if silent[t.Peer.ID] {
			continue
		}
		count.Want++
		for next < len(ovs.Ports) && ovs.Ports[next].Name < t.Name {
			next++
		}
		var port *ovsdb.Port
		if next < len(ovs.Ports) && ovs.Ports[next].Ours && ovs.Ports[next].Name == t.Name && ovs.Ports[next].Peer.ID == t.Peer.ID {
			port = &ovs.Ports[next]
		} else if other, is := ports()[t.Peer.ID]; is { // adopted
			port = &other
		}
		if port != nil && works(port) && (!t.BFD || port.BFD.State == "up") && carries(t) {
			count.Up++
		}
	}
	return count
}

// Status returns this host's current report about itself and its mesh.
func (l *Loop) Status(ctx context.Context) Status {
	view, last := l.cfg.Membership.View(), l.last.Load()
	self := view.Self
	mtu, by := l.cfg.MTU(view, last.keep)
	status := Status{
		Host: HostStatus{
			ID: self.ID.String(), Name: self.Name, Underlay: self.Underlay, Subnet: self.Subnet,
			MTU: mtu, MTUBy: by, Lease: "waiting", Waiting: view.Waiting, Version: l.cfg.Version, OVS: last.ovs, Since: l.started, Changes: l.changes.Load(),
		},
		Mesh:     TotalStatus{ID: view.Mesh, Pool: l.cfg.Space.Prefix, Hosts: 1},
		Peers:    []PeerStatus{},
		Problems: last.dated(view.Problems, last.problems),
		Pending:  last.pending,
	}
	status.Host.Guard = last.guard
	if self.Subnet.IsValid() {
		status.Host.Lease = lease.Held.String()
		status.Host.Bip = lease.Bip(self.Subnet)
	}
	traffic, _ := l.cfg.Switch.Traffic(ctx) // if Open vSwitch does not answer, that is among the problems
	for _, peer := range view.Peers {
		switch peer.Liveness {
		case Alive:
			status.Mesh.Hosts++
		case Failed:
			status.Mesh.Failed++
		case Left:
			if !peer.Subnet.IsValid() { // it left and released its subnet
				continue
			}
		}
		one := l.peerStatus(self, peer, last, traffic)
		if one.Tunnel.Wanted && one.Tunnel.Type == "" { // there is no port
			one.Tunnel.Type = l.cfg.in(view).tunnelType(peer)
		}
		status.Peers = append(status.Peers, one)
	}
	if len(view.Settings) > 0 {
		tunnel := l.cfg.in(view).Tunnel
		status.Mesh.Tunnel = TunnelKind{Type: tunnel.Type, Fallback: tunnel.Fallback, Keyed: tunnel.Key != 0}
		status.Mesh.SettingsVersion = view.SettingsVersion
	}
	status.count(view)
	return status
}

func (l *Loop) peerStatus(self, peer Host, last *outcome, traffic map[string]ovsdb.Traffic) PeerStatus {
	status := PeerStatus{
		ID: peer.ID.String(), Name: peer.Name, Underlay: peer.Underlay, Subnet: peer.Subnet, State: string(peer.Liveness), PathMTU: peer.Path,
	}
	if !peer.Subnet.IsValid() {
		return status
	}
	if wantsTunnel(&peer, last.keep) && self.Subnet.IsValid() && !self.Cut {
		if status.Via = ViaTunnel; l.cfg.Direct {
			if status.Indirect = tunnelled(self, peer); status.Indirect == "" {
				status.Via = ViaDirect
			}
		}
	}
	status.Tunnel = TunnelStatus{Wanted: status.Via != "", Filtered: last.blocked[peer.ID]}
	if status.Tunnel.Wanted && l.cfg.Prober != nil {
		status.Path = pathStatus(l.cfg.Prober.Path(lease.Bip(peer.Subnet).Addr()))
	}
	port, ok := last.port(status.ID)
	if !ok {
		return status
	}
	bytes := traffic[port.Name]
	status.Tunnel = TunnelStatus{
		Port: port.Name, Wanted: status.Tunnel.Wanted, Type: port.Type, BFD: port.BFD.State, Error: port.Error,
		RxBytes: bytes.RxBytes, TxBytes: bytes.TxBytes, Filtered: last.blocked[peer.ID],
	}
	return status
}

// Audit compares the desired state of this host with the observed state, and
// changes nothing. A component that does not answer within 15 s is not checked.
func (l *Loop) Audit(ctx context.Context) Audit {
	l.busy.Lock()
	defer l.busy.Unlock()
	ctx, cancel := context.WithTimeout(ctx, partTimeout)
	defer cancel()
	audit := Audit{Drift: []drift.Drift{}, Problems: []Problem{}, Filtered: []Problem{}}
	view := l.cfg.Membership.View()
	if !view.Self.Subnet.IsValid() {
		audit.Problems = append(audit.Problems, Problem{What: "this host holds no lease, so nothing is desired: " + view.Waiting})
		return audit
	}
	l.cfg.Switch.Refresh()
	l.cfg.Kernel.Refresh()
	unknown := func(err error) { audit.Problems = append(audit.Problems, problemOf(err)) }

	ovs, err := l.cfg.Switch.Observe(ctx)
	if err != nil {
		unknown(err)
	}
	audit.Problems = append(audit.Problems, switchDown(ovs)...)
	if err := l.look(ctx, ovs, err == nil); err != nil {
		unknown(err)
	}
	if bars, err := l.barred(ctx, ovs); err != nil || len(bars) > 0 {
		if err != nil {
			unknown(err)
		}
		audit.Problems = append(audit.Problems, bars...)
		return audit
	}
	last := l.last.Load()
	desired, _ := l.plan(view, last.keep, ovs)
	audit.Filtered = append(audit.Filtered, last.filtered...)
	audit.Paths = l.auditPaths(desired, last)
	if err == nil {
		audit.Drift = append(audit.Drift, switchDrift(desired.Switch, ovs)...)
	}
	if have, err := l.cfg.Docker.Observe(ctx); err != nil {
		unknown(err)
	} else {
		audit.Drift = append(audit.Drift, dockerDrift(desired.Docker, have)...)
		audit.Drift = append(audit.Drift, l.dockerDown(have)...)
		for _, t := range []*docker.Trouble{have.Unsupported, have.Misread, have.Silent, have.Futile} {
			if t != nil {
				audit.Problems = append(audit.Problems, troubled(t))
			}
		}
	}
	if have, err := l.cfg.NAT.Observe(ctx); err != nil {
		unknown(err)
	} else {
		for _, c := range filter.Diff(l.guarded(desired.NAT), have) {
			audit.Drift = append(audit.Drift, c.Drift)
		}
	}
	if have, err := l.cfg.Kernel.Observe(ctx); err != nil {
		unknown(err)
	} else {
		audit.Drift = append(audit.Drift, hostDrift(desired.Host, have)...)
		audit.Drift = append(audit.Drift, overlapDrift(l.overlaps(ctx, view.Peers, have))...)
	}
	return audit
}

func switchDrift(want ovsdb.Spec, have ovsdb.State) []drift.Drift {
	var found []drift.Drift
	for _, c := range ovsdb.Diff(want, have) {
		found = append(found, c.Drift)
	}
	for _, c := range ovsdb.Conflicts(want, have) {
		found = append(found, drift.Of(c.Key, "in the way: "+c.What, "changed ("+c.Do+")"))
	}
	for _, c := range ovsdb.UnprotectedTunnels(want.Bridge, have) {
		found = append(found, drift.Of(c.Key, "not protected, and not gremesh's", "protected ("+c.Do+")"))
	}
	return found
}

func dockerDrift(want docker.Settings, have docker.State) []drift.Drift {
	var found []drift.Drift
	if have.Unsupported != nil || have.Misread != nil {
		return nil // gremesh leaves this Docker unchanged
	}
	for _, c := range docker.Diff(want, have) {
		found = append(found, c.Drift)
	}
	if have.NeedsRestart {
		found = append(found, drift.Drift{
			Object: "dockerd", Is: "running with the settings from before daemon.json was written",
			Should: fmt.Sprintf("restarted, with bip %s and mtu %d", want.Bip, want.MTU),
		})
	}
	return found
}
