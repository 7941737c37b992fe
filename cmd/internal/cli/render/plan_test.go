package render

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/gremesh/gremesh/mesh"
	"github.com/gremesh/gremesh/mesh/drift"
)

func TestPlanReadsWell(t *testing.T) {
	preview := mesh.Preview{Host: "h1", Subnet: netip.MustParsePrefix("172.17.42.0/24"), DaemonJSON: "/etc/docker/daemon.json"}
	golden(t, "plan_nothing.txt", Plan(preview))

	waiting := preview
	waiting.Subnet, waiting.Waiting = netip.Prefix{}, "no seed answers"
	golden(t, "plan_waiting.txt", Plan(waiting))

	preview.Assumed = []string{"this host gets 172.17.42.0/24: it uses it already", "the peers are those of the file"}
	preview.Problems = []mesh.Problem{{What: "port gre44: the name is taken by port gre44 on br1, which is not gremesh's", Do: "delete it if nobody needs it:\novs-vsctl del-port br1 gre44"}}
	preview.Drift = []drift.Drift{
		{Object: "port gre43", Should: "gre to 192.168.248.140 (h2, 172.17.43.0/24) on br0", Commands: []string{"ovs-vsctl add-port br0 gre43 -- set port gre43 protected=true"}},
		{Object: "port gre99", Is: "gre to 192.168.248.199\non br0", Commands: []string{"ovs-vsctl del-port br0 gre99"}},
		{Object: "daemon.json bip", Is: "172.17.0.1/16", Should: "172.17.42.1/24"},
		{Object: "daemon.json mtu", Should: "1462"},
		{Object: "dockerd", Is: "running with the settings from before", Should: "restarted by systemctl restart docker"},
		{Object: "link docker0 mtu", Is: "1500", Should: "1462", Commands: []string{"ip link set dev docker0 mtu 1462"}},
	}
	golden(t, "plan.txt", Plan(preview))
}

func TestOnlyCommentsAndCommandsAreInAPlan(t *testing.T) {
	evil := "x\nreboot\n"
	script := Plan(mesh.Preview{
		Host: evil, Subnet: netip.MustParsePrefix("172.17.42.0/24"), Assumed: []string{evil}, DaemonJSON: evil, Problems: []mesh.Problem{{What: evil, Do: evil}},
		Drift: []drift.Drift{{Object: "port " + evil, Is: evil, Should: evil, Commands: []string{"true"}}, {Object: "daemon.json bip", Is: evil, Should: evil}},
	})
	for line := range strings.Lines(script) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' && line != "set -e" && line != "true" {
			t.Errorf("a shell would run %q", line)
		}
	}
}
