package main

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gremesh/gremesh/mesh"
	"github.com/gremesh/gremesh/mesh/drift"
	"github.com/gremesh/gremesh/mesh/lease"
)

func TestPlanReadsWell(t *testing.T) {
	preview := mesh.Preview{Host: "h1", Subnet: netip.MustParsePrefix("172.17.42.0/24"), DaemonJSON: "/etc/docker/daemon.json"}
	golden(t, "plan_nothing.txt", renderPlan(preview))

	waiting := preview
	waiting.Subnet, waiting.Waiting = netip.Prefix{}, "no seed answers"
	golden(t, "plan_waiting.txt", renderPlan(waiting))

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
	golden(t, "plan.txt", renderPlan(preview))
}

func TestOnlyCommentsAndCommandsAreInAPlan(t *testing.T) {
	evil := "x\nreboot\n"
	script := renderPlan(mesh.Preview{
		Host: evil, Subnet: netip.MustParsePrefix("172.17.42.0/24"), Assumed: []string{evil}, DaemonJSON: evil, Problems: []mesh.Problem{{What: evil, Do: evil}},
		Drift: []drift.Drift{{Object: "port " + evil, Is: evil, Should: evil, Commands: []string{"true"}}, {Object: "daemon.json bip", Is: evil, Should: evil}},
	})
	for line := range strings.Lines(script) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' && line != "set -e" && line != "true" {
			t.Errorf("a shell would run %q", line)
		}
	}
}

func TestPeersFiles(t *testing.T) {
	space := lease.Space{Pool: netip.MustParsePrefix("172.17.0.0/16"), Bits: 24}
	const h1 = "- {name: h1, underlay: 192.168.248.139, subnet: 172.17.42.0/24}\n"
	for name, c := range map[string]struct {
		text string
		want []string // words of the error; none: it is read
	}{
		"YAML":            {h1 + "- {name: h2, underlay: 192.168.248.140, subnet: 172.17.43.0/24}\n", nil},
		"JSON":            {`[{"name": "h1", "underlay": "192.168.248.139", "subnet": "172.17.42.0/24"}]`, nil},
		"no host":         {"[]", nil},
		"nothing":         {"", []string{"want a list of hosts"}},
		"no list":         {"name: h1", []string{"want a list of hosts"}},
		"unknown key":     {"- {label: h1}", []string{"label"}},
		"no name":         {"- {underlay: 192.168.248.139, subnet: 172.17.42.0/24}", []string{"entry 1 ()", "name"}},
		"no address":      {h1 + "- {name: h2, underlay: h2.example, subnet: 172.17.43.0/24}", []string{"entry 2 (h2)", `underlay "h2.example"`}},
		"of one link":     {"- {name: h2, underlay: 'fe80::1', subnet: 172.17.43.0/24}", []string{"entry 1 (h2)", "not the address of a host"}},
		"in the pool":     {"- {name: h2, underlay: 172.17.9.9, subnet: 172.17.43.0/24}", []string{"entry 1 (h2)", "inside the pool"}},
		"no subnet":       {"- {name: h2, underlay: 192.168.248.140, subnet: 172.17.43.1/24}", []string{"entry 1 (h2)", "one of the /24 of the pool 172.17.0.0/16"}},
		"another pool's":  {"- {name: h2, underlay: 192.168.248.140, subnet: 10.1.2.0/24}", []string{"entry 1 (h2)", "10.1.2.0/24"}},
		"twice":           {h1 + "- {name: h2, underlay: 192.168.248.140, subnet: 172.17.42.0/24}", []string{"entry 2 (h2)", "172.17.42.0/24 is entry 1's already"}},
		"all are told of": {"- {name: h2}\n- {name: h3}", []string{"entry 1 (h2)", "entry 2 (h3)"}},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "peers.yaml")
			if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			hosts, err := readPeers(path, space)
			if (err != nil) != (c.want != nil) {
				t.Fatalf("%+v, %v", hosts, err)
			}
			for _, words := range c.want {
				if !strings.Contains(err.Error(), words) || !strings.Contains(err.Error(), path) {
					t.Errorf("%q is not in %q", words, err)
				}
			}
		})
	}
	if hosts, err := readPeers(filepath.Join("..", "..", "examples", "peers.yaml"), space); err != nil || len(hosts) != 3 {
		t.Errorf("the example: %+v, %v", hosts, err)
	}
	if _, err := readPeers("/no/such/file", space); err == nil {
		t.Error("a file that is not there is no error")
	}
}
