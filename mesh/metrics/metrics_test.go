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
	peer := func(name, addr string, t mesh.TunnelStatus) mesh.PeerStatus {
		return mesh.PeerStatus{Name: name, Underlay: netip.MustParseAddr(addr), State: "alive", Tunnel: t}
	}
	return mesh.Status{
		Host: mesh.HostStatus{Subnet: netip.MustParsePrefix("172.17.42.0/24"), Version: "v1.2.3", Changes: 7},
		Mesh: mesh.TotalStatus{Hosts: 4, Failed: 1, Tunnels: 12, TunnelsUp: 11},
		Peers: []mesh.PeerStatus{
			peer("h2", "192.168.248.140", mesh.TunnelStatus{Port: "vxlan43", Type: "vxlan", BFD: "up", Filtered: []string{"gre"}}),
			peer("h3", "192.168.248.141", mesh.TunnelStatus{Port: "gre44", Type: "gre", BFD: "down"}),
			peer("h4", "192.168.248.142", mesh.TunnelStatus{Port: "gre45", Type: "gre"}),
			peer("h5", "192.168.248.143", mesh.TunnelStatus{}),
		},
		Problems: []mesh.Problem{{What: "something"}},
	}
}

func TestAStatusInTheFormatOfPrometheus(t *testing.T) {
	const want = `
# HELP gremesh_build_info 1; the version of the agent is a label.
# TYPE gremesh_build_info gauge
gremesh_build_info{version="v1.2.3"} 1
# HELP gremesh_changes_total Differences on this host that were put right since the agent's start.
# TYPE gremesh_changes_total counter
gremesh_changes_total 7
# HELP gremesh_hosts Hosts of the mesh as this one sees them, itself included, by state.
# TYPE gremesh_hosts gauge
gremesh_hosts{state="alive"} 4
gremesh_hosts{state="failed"} 1
# HELP gremesh_lease_held Whether this host holds a subnet.
# TYPE gremesh_lease_held gauge
gremesh_lease_held 1
# HELP gremesh_problems Problems that gremesh status shows.
# TYPE gremesh_problems gauge
gremesh_problems 1
# HELP gremesh_tunnel_filtered 1 for each type of tunnel that does not get through between this host and a peer.
# TYPE gremesh_tunnel_filtered gauge
gremesh_tunnel_filtered{peer="h2",type="gre",underlay="192.168.248.140"} 1
# HELP gremesh_tunnel_up Whether this host's tunnel to a peer is up.
# TYPE gremesh_tunnel_up gauge
gremesh_tunnel_up{peer="h2",type="vxlan",underlay="192.168.248.140"} 1
gremesh_tunnel_up{peer="h3",type="gre",underlay="192.168.248.141"} 0
gremesh_tunnel_up{peer="h4",type="gre",underlay="192.168.248.142"} 1
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
