package gossip

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"

	"github.com/gremesh/gremesh/mesh"
	"github.com/gremesh/gremesh/mesh/lease"
	"github.com/gremesh/gremesh/mesh/settings"
)

// OfflineView returns the mesh as this host's state directory describes it. Use
// it while the agent does not run.
//
// If the host holds no lease, OfflineView also returns the subnet that the host
// would claim first. If no subnet is free, that is the zero prefix, and
// View.Waiting gives the reason.
//
// OfflineView adds the given other hosts to the known ones and regards their
// subnets as leased. It cannot know which hosts are alive, so it reports each
// host with a lease as alive. If this host accepts packets without a tunnel,
// OfflineView assumes the same of every host in this host's underlay network.
// OfflineView writes nothing to disk.
func OfflineView(cfg Config, others ...mesh.Host) (mesh.View, netip.Prefix, error) {
	s := store{cfg.Dir}
	st, err := s.loadState()
	if errors.Is(err, fs.ErrNotExist) {
		if _, idErr := s.loadID(); !errors.Is(idErr, fs.ErrNotExist) {
			return mesh.View{}, netip.Prefix{}, errors.Join(fmt.Errorf("this host has lost its state, and must learn it from its peers: %w", err), idErr)
		}
	} else if err != nil {
		return mesh.View{}, netip.Prefix{}, fmt.Errorf("read the host's state: %w", err)
	}

	record, err := knownSettings(st, cfg)
	if err != nil {
		return mesh.View{}, netip.Prefix{}, err
	}
	view := mesh.View{
		Mesh: st.Mesh, SettingsVersion: record.Version,
		Self: mesh.Host{ID: st.Host, Name: cfg.Name, Underlay: cfg.Underlay.Addr(), Liveness: mesh.Alive},
	}
	records := st.Records
	if !record.IsZero() {
		view.Settings = settings.Pinned(record.Values, cfg.Pins)
	}
	for i, h := range others {
		view.Peers = append(view.Peers, h)
		var id lease.ID // a made-up ID, because each record needs one
		binary.BigEndian.PutUint64(id[8:], uint64(i)+1)
		records = append(records, lease.Record{Host: id, Version: 1, State: lease.Held, Subnet: h.Subnet, Sequence: 1, Name: h.Name,
			Underlay: netip.AddrPortFrom(h.Underlay, cfg.Underlay.Port())})
	}
	machine := lease.NewMachine(lease.Config{
		Self: st.Host, Name: cfg.Name, Underlay: cfg.Underlay, Pool: cfg.Settings.Pool, Fixed: cfg.Fixed, Prefer: cfg.Prefer,
	}, records)
	lost := make(map[lease.ID]bool)
	for _, c := range machine.Table().Conflicts(func(id lease.ID) bool { return id == st.Host || st.Sightings[id] == nil || st.Sightings[id].Met }) {
		lost[c.Loser.Host] = true
	}
	for _, r := range st.Records {
		h := mesh.Host{ID: r.Host, Name: r.Name, Underlay: r.Underlay.Addr(), Liveness: liveness(r, r.State == lease.Held), Cut: lost[r.Host]}
		if r.State == lease.Held {
			h.Subnet = r.Subnet
		}
		if r.Host == st.Host {
			view.Self.Subnet, view.Self.Cut = h.Subnet, h.Cut
		} else {
			view.Peers = append(view.Peers, h)
		}
	}
	if cfg.DirectAllowed {
		view.Self.Direct = cfg.Direct
		for i := range view.Peers {
			if cfg.Direct.Contains(view.Peers[i].Underlay) {
				view.Peers[i].Direct = cfg.Direct
			}
		}
	}
	view.SortPeers()
	if view.Self.Subnet.IsValid() {
		return view, netip.Prefix{}, nil
	}
	candidate, ok := machine.Candidate()
	if !ok {
		candidate, view.Waiting = netip.Prefix{}, whyNone(machine, cfg)
	}
	return view, candidate, nil
}

// whyNone returns the reason why no subnet is free for this host, and the
// command to run.
func whyNone(machine *lease.Machine, cfg Config) string {
	only := machine.Waiting().Only
	if !only.IsValid() {
		return fmt.Sprintf("no subnet is free: all %d of %s are taken", cfg.Settings.Pool.Len(), cfg.Settings.Pool.Prefix)
	}
	for r := range machine.Table().Occupants(only) {
		former := ""
		if r.Name == cfg.Name || r.Underlay == cfg.Underlay {
			former = ", which looks like this host's former ID"
		}
		return fmt.Sprintf("it may take %s only, which is %s by %s (%s) at %s%s; set another bip or, if that ID is gone for good, run `gremesh forget %s` on another host",
			only, r.State, r.Name, short(r.Host), r.Underlay.Addr(), former, short(r.Host))
	}
	return fmt.Sprintf("it may take %s only, which is no subnet of %s", only, cfg.Settings.Pool.Prefix)
}
