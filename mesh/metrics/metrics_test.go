package metrics

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/gremesh/gremesh/mesh"
)

func status(context.Context) mesh.Status {
	peer := func(name, addr string, t mesh.TunnelStatus, p *mesh.PathStatus) mesh.PeerStatus {
		return mesh.PeerStatus{Name: name, Underlay: netip.MustParseAddr(addr), State: "alive", Tunnel: t, Path: p}
	}
	return mesh.Status{
		Host: mesh.HostStatus{Subnet: netip.MustParsePrefix("172.17.42.0/24"), Version: "v1.2.3", OVS: "up", Changes: 7},
		Mesh: mesh.TotalStatus{Hosts: 4, Failed: 1, Tunnels: 12, TunnelsUp: 11},
		Peers: []mesh.PeerStatus{
			peer("h2", "192.168.248.140", mesh.TunnelStatus{Port: "vxlan43", Type: "vxlan", BFD: "up", Filtered: []string{"gre"}}, &mesh.PathStatus{Up: true, RoundTrip: 0.0005, Sent: 20}),
			peer("h3", "192.168.248.141", mesh.TunnelStatus{Port: "gre44", Type: "gre", BFD: "down"}, &mesh.PathStatus{Loss: 1, Sent: 20, Lost: 19}),
			peer("h4", "192.168.248.142", mesh.TunnelStatus{Port: "gre45", Type: "gre"}, &mesh.PathStatus{Up: true, SmallOnly: true}),
			peer("h5", "192.168.248.143", mesh.TunnelStatus{}, nil),
			peer("h6", "192.168.248.144", mesh.TunnelStatus{Wanted: true, Type: "gre"}, nil), // no port
		},
		Problems: []mesh.Problem{{What: "something"}},
	}
}

func TestAStatusInTheFormatOfPrometheus(t *testing.T) {
	const want = `
# HELP gremesh_build_info 1; the version of the agent is a label.
# TYPE gremesh_build_info gauge
gremesh_build_info{version="v1.2.3"} 1
# HELP gremesh_changes_total Differences on this host that were corrected since the agent's start.
# TYPE gremesh_changes_total counter
gremesh_changes_total 7
# HELP gremesh_hosts Hosts of the mesh as this one sees them, itself included, by state.
# TYPE gremesh_hosts gauge
gremesh_hosts{state="alive"} 4
gremesh_hosts{state="failed"} 1
# HELP gremesh_lease_held Whether this host holds a subnet.
# TYPE gremesh_lease_held gauge
gremesh_lease_held 1
# HELP gremesh_ovs_up Whether Open vSwitch runs and answers on this host.
# TYPE gremesh_ovs_up gauge
gremesh_ovs_up 1
# HELP gremesh_path_full_size_up Whether probes of docker0's MTU are answered, where others are.
# TYPE gremesh_path_full_size_up gauge
gremesh_path_full_size_up{peer="h2",underlay="192.168.248.140"} 1
gremesh_path_full_size_up{peer="h4",underlay="192.168.248.142"} 0
# HELP gremesh_path_probes_lost_total Probes sent to a peer that had no answer.
# TYPE gremesh_path_probes_lost_total counter
gremesh_path_probes_lost_total{peer="h2",underlay="192.168.248.140"} 0
gremesh_path_probes_lost_total{peer="h3",underlay="192.168.248.141"} 19
gremesh_path_probes_lost_total{peer="h4",underlay="192.168.248.142"} 0
# HELP gremesh_path_probes_sent_total Probes sent to a peer.
# TYPE gremesh_path_probes_sent_total counter
gremesh_path_probes_sent_total{peer="h2",underlay="192.168.248.140"} 20
gremesh_path_probes_sent_total{peer="h3",underlay="192.168.248.141"} 20
gremesh_path_probes_sent_total{peer="h4",underlay="192.168.248.142"} 0
# HELP gremesh_path_round_trip_seconds Median round trip of the last 20 probes.
# TYPE gremesh_path_round_trip_seconds gauge
gremesh_path_round_trip_seconds{peer="h2",underlay="192.168.248.140"} 0.0005
# HELP gremesh_path_up Whether probes from docker0 to a peer's docker0 are answered, through its tunnel.
# TYPE gremesh_path_up gauge
gremesh_path_up{peer="h2",underlay="192.168.248.140"} 1
gremesh_path_up{peer="h3",underlay="192.168.248.141"} 0
gremesh_path_up{peer="h4",underlay="192.168.248.142"} 1
# HELP gremesh_problems Problems that gremesh status shows.
# TYPE gremesh_problems gauge
gremesh_problems 1
# HELP gremesh_tunnel_filtered 1 for each type of tunnel that does not get through between this host and a peer.
# TYPE gremesh_tunnel_filtered gauge
gremesh_tunnel_filtered{peer="h2",type="gre",underlay="192.168.248.140"} 1
# HELP gremesh_tunnel_up Whether this host's tunnel to a peer is up, for every tunnel that there should be.
# TYPE gremesh_tunnel_up gauge
gremesh_tunnel_up{peer="h2",type="vxlan",underlay="192.168.248.140"} 1
gremesh_tunnel_up{peer="h3",type="gre",underlay="192.168.248.141"} 0
gremesh_tunnel_up{peer="h4",type="gre",underlay="192.168.248.142"} 1
gremesh_tunnel_up{peer="h6",type="gre",underlay="192.168.248.144"} 0
# HELP gremesh_tunnels_up Directed tunnels that are up, as each host counts its own.
# TYPE gremesh_tunnels_up gauge
gremesh_tunnels_up 11
# HELP gremesh_tunnels_wanted Directed tunnels that the hosts that are alive should have, all together.
# TYPE gremesh_tunnels_wanted gauge
gremesh_tunnels_wanted 12
`
	if err := testutil.CollectAndCompare(&collector{status}, strings.NewReader(want)); err != nil {
		t.Error(err)
	}
	if found, err := testutil.CollectAndLint(&collector{status}); err != nil || len(found) > 0 {
		t.Errorf("against the conventions: %+v, %v", found, err)
	}
}

// Alerts can only fire if a series is there while what it is about is down.
func TestADeadOpenVSwitchIsZeroAndSoAreItsTunnels(t *testing.T) {
	dead := func(context.Context) mesh.Status {
		return mesh.Status{
			Host: mesh.HostStatus{OVS: "down"},
			Peers: []mesh.PeerStatus{{
				Name: "h2", Underlay: netip.MustParseAddr("192.168.248.140"), Tunnel: mesh.TunnelStatus{Wanted: true, Type: "gre"},
			}},
		}
	}
	const want = `
# HELP gremesh_ovs_up Whether Open vSwitch runs and answers on this host.
# TYPE gremesh_ovs_up gauge
gremesh_ovs_up 0
# HELP gremesh_tunnel_up Whether this host's tunnel to a peer is up, for every tunnel that there should be.
# TYPE gremesh_tunnel_up gauge
gremesh_tunnel_up{peer="h2",type="gre",underlay="192.168.248.140"} 0
`
	if err := testutil.CollectAndCompare(&collector{dead}, strings.NewReader(want), "gremesh_ovs_up", "gremesh_tunnel_up"); err != nil {
		t.Error(err)
	}
}

func TestAScrapeHasTheProcessToo(t *testing.T) {
	twice := func(ctx context.Context) mesh.Status {
		s := status(ctx)
		s.Peers = append(s.Peers, s.Peers...)
		return s
	}
	for name, status := range map[string]func(context.Context) mesh.Status{"a mesh": status, "peers of one name and address": twice} {
		w := httptest.NewRecorder()
		Handler(status).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
		text, err := io.ReadAll(w.Result().Body)
		if err != nil || w.Code != 200 {
			t.Fatalf("%s: %d, %v\n%s", name, w.Code, err, text)
		}
		for _, want := range []string{"gremesh_tunnels_up 11", "go_goroutines ", "process_open_fds "} {
			if !strings.Contains(string(text), want) {
				t.Errorf("%s: no %q in\n%s", name, want, text)
			}
		}
	}
}
