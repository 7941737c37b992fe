package mesh

import (
	"net/netip"
	"testing"
)

func TestCountsNeverContradictEachOther(t *testing.T) {
	row := func(h Host, wanted, up bool) PeerStatus {
		bfd := "down"
		if up {
			bfd = "up"
		}
		return PeerStatus{ID: h.ID.String(), State: string(h.Liveness), Subnet: h.Subnet, Tunnel: TunnelStatus{Port: "p", Wanted: wanted, BFD: bfd}}
	}
	reports := func(h Host, up int, liveness Liveness) Host {
		h.Tunnels, h.Liveness = TunnelCount{Up: up, Want: up}, liveness
		return h
	}
	waiting := reports(testHost(4), 0, Alive)
	waiting.Subnet = netip.Prefix{}
	for name, c := range map[string]struct {
		peers       []Host
		rows        []PeerStatus
		own         TunnelsStatus
		up, tunnels int
	}{
		"all are up": {
			[]Host{reports(testHost(2), 2, Alive), reports(testHost(3), 2, Alive)},
			[]PeerStatus{row(testHost(2), true, true), row(testHost(3), true, true)},
			TunnelsStatus{2, 2}, 6, 6,
		},
		"a host has left, and the other one has not reported since": {
			[]Host{reports(testHost(2), 2, Alive), reports(testHost(3), 2, Left)},
			[]PeerStatus{row(testHost(2), true, true), row(testHost(3), false, false)},
			TunnelsStatus{1, 1}, 2, 2,
		},
		"an agent is dead, and its tunnel carries packets": {
			[]Host{reports(testHost(2), 2, Failed)},
			[]PeerStatus{row(testHost(2), true, true)},
			TunnelsStatus{1, 1}, 0, 0,
		},
		"a row says down before its host reports it": {
			[]Host{reports(testHost(2), 1, Alive)},
			[]PeerStatus{row(testHost(2), true, false)},
			TunnelsStatus{0, 1}, 1, 2,
		},
		"a host waits for a lease": {
			[]Host{reports(testHost(2), 1, Alive), waiting},
			[]PeerStatus{row(testHost(2), true, true), row(waiting, false, false)},
			TunnelsStatus{1, 1}, 2, 2,
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := Status{Peers: c.rows}
			s.count(testView(c.peers...))
			if s.Host.Tunnels != c.own || s.Mesh.TunnelsUp != c.up || s.Mesh.Tunnels != c.tunnels {
				t.Errorf("this host has %+v, the mesh %d of %d; want %+v, %d of %d", s.Host.Tunnels, s.Mesh.TunnelsUp, s.Mesh.Tunnels, c.own, c.up, c.tunnels)
			}
		})
	}
}
