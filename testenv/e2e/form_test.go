package e2e

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/gremesh/gremesh/testenv"
)

func TestMeshOfThreeHostsWithDocker(t *testing.T) {
	l := startMesh(t, testenv.Config{Hosts: 3, Docker: true}, nil)
	must(t, l.Each(func(h *testenv.Host) error {
		_, err := h.RunContainer(t.Context(), "c1", "--restart=always")
		return err
	}))
	inTurn(t, l,
		behaviour{"Docker is restarted once", dockerIsRestartedOnce},
		behaviour{"six ports read as an audit", sixPorts},
		behaviour{"audit is clean", auditIsClean},
		behaviour{"containers reach each other", containersReachEachOther},
		behaviour{"full-size packets pass", fullSizePacketsPass},
		behaviour{"SIGTERM leaves the data path", sigtermLeavesTheDataPath},
		behaviour{"Docker restarted by hand finds the mesh again", dockerRestartedByHand},
		behaviour{"a crashed agent keeps its tunnels", crashedAgentKeepsItsTunnels},
		behaviour{"leave", leave},
	)
}

// sixPorts reads every port with ovs-vsctl, as an operator would.
func sixPorts(t *testing.T, l *testenv.Lab) {
	seen := 0
	for _, h := range l.Hosts() {
		s := status(t, h)
		if s.Mesh.TunnelsUp != 6 || s.Mesh.Tunnels != 6 {
			t.Errorf("%s: %d of %d tunnels up, want 6 of 6", h.Name, s.Mesh.TunnelsUp, s.Mesh.Tunnels)
		}
		for _, other := range l.Hosts() {
			if other == h {
				continue
			}
			seen++
			name, its := port(t, other), status(t, other).Host
			got := run(t, h, "ovs-vsctl",
				"get", "port", name, "protected", "external_ids", "--",
				"get", "interface", name, "type", "options:remote_ip", "options:local_ip", "bfd:enable", "bfd_status:state", "error")
			want := strings.Join([]string{
				"true",
				fmt.Sprintf(`{gremesh="%s", gremesh-name=%s, gremesh-peer="%s", gremesh-subnet="%s"}`, s.Mesh.ID, other.Name, its.ID, its.Subnet),
				"gre", quote(other.Addr), quote(h.Addr), `"true"`, "up", "[]",
			}, "\n")
			if strings.ReplaceAll(got, `"`, "") != strings.ReplaceAll(want, `"`, "") { // ovs-vsctl quotes what might be taken for a number
				t.Errorf("%s: %s is\n%s\nwant\n%s", h.Name, name, got, want)
			}
		}
		if all, err := ports(t.Context(), h); err != nil || len(all) != 2 {
			t.Errorf("%s has the ports %s, %v", h.Name, all, err)
		}
	}
	if seen != 6 {
		t.Errorf("%d ports, want 6", seen)
	}
}

func quote(a netip.Addr) string { return `"` + a.String() + `"` }

func auditIsClean(t *testing.T, l *testenv.Lab) {
	for _, h := range l.Hosts() {
		audited(t, h, 0)
	}
}

// containersReachEachOther pings from each container to each, its own included.
func containersReachEachOther(t *testing.T, l *testenv.Lab) {
	testenv.Eventually(t, soon, func() error { // Docker may be about to start them again
		return l.Each(func(from *testenv.Host) error {
			var errs []error
			for _, to := range l.Hosts() {
				addr, err := to.ContainerAddr(t.Context(), "c1")
				if err == nil {
					err = from.Ping(t.Context(), "c1", addr, 0)
				}
				errs = append(errs, err)
			}
			return errors.Join(errs...)
		})
	})
}

// fourthJoinsThroughTheSecond is run in a lab of four whose first three are
// in a mesh.
func fourthJoinsThroughTheSecond(t *testing.T, l *testenv.Lab) {
	h4 := l.Host(4)
	must(t, h4.WriteConfig(map[string]any{"mesh.join": []string{l.Host(2).Addr.String()}}))
	must(t, h4.StartAgent(t.Context()))
	whole(t, l)
}
