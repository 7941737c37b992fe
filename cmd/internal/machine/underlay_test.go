package machine

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/gremesh/gremesh/bridge"
	"github.com/gremesh/gremesh/cmd/internal/config"
)

func TestTheUnderlayIsNotGuessed(t *testing.T) {
	first := bridge.Candidate{Addr: netip.MustParseAddr("192.168.248.139"), Link: "eth0", MTU: 1500}
	second := bridge.Candidate{Addr: netip.MustParseAddr("10.9.0.1"), Link: "eth1", MTU: 9000}
	third := bridge.Candidate{Addr: netip.MustParseAddr("10.9.0.2"), Link: "eth1", MTU: 9000}
	sixth := bridge.Candidate{Addr: netip.MustParseAddr("fd00:90::1"), Link: "eth0", MTU: 1500}
	const how = "; set it to the one on which the other hosts reach this one, or to its device"
	for _, c := range []struct {
		name    string
		network string
		all     []bridge.Candidate
		want    string // address and device, or the error
	}{
		{"one NIC", "", []bridge.Candidate{first}, "192.168.248.139 eth0"},
		{"both families", "", []bridge.Candidate{first, sixth}, "192.168.248.139 eth0"},
		{"both, and a network", "fd00:90::/64", []bridge.Candidate{first, sixth}, "fd00:90::1 eth0"},
		{"IPv6 alone", "", []bridge.Candidate{sixth}, "fd00:90::1 eth0"},
		{"no NIC", "", nil, "this host has no underlay address"},
		{"two NICs", "", []bridge.Candidate{second, first}, "this host has several addresses: 10.9.0.1 (eth1), 192.168.248.139 (eth0)" + how},
		{"two NICs and a network", "10.9.0.0/24", []bridge.Candidate{second, first}, "10.9.0.1 eth1"},
		{"two addresses in the network", "10.9.0.0/24", []bridge.Candidate{second, third, first}, "this host has several addresses in 10.9.0.0/24: 10.9.0.1 (eth1), 10.9.0.2 (eth1)" + how},
		{"none in the network", "10.8.0.0/24", []bridge.Candidate{second, first}, "this host has no underlay address in 10.8.0.0/24"},
	} {
		var network netip.Prefix
		if c.network != "" {
			network = netip.MustParsePrefix(c.network)
		}
		at, err := onlyCandidate(network, c.all)
		got := at.Addr.String() + " " + at.Link
		if err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
		if ambiguous := len(c.want) > len(how) && c.want[len(c.want)-len(how):] == how; errors.Is(err, errAmbiguous) != ambiguous {
			t.Errorf("%s: ambiguous should be %t", c.name, ambiguous)
		}
	}
}

// Its packets would go to docker0, and no more to this host.
func TestTheUnderlaysDeviceIsNotTheSwitchNorDockersBridge(t *testing.T) {
	address := netip.MustParseAddr("127.0.0.1")
	cfg := config.Config{Node: config.NodeConfig{Advertise: config.Advertise{Addr: address}}, OVS: config.OVSConfig{Bridge: "br0"}, Docker: config.DockerConfig{Bridge: "docker0"}}
	if at, err := FindUnderlay(cfg); err != nil || at.Link != "lo" {
		t.Fatalf("got %v, %v", at, err)
	}
	cfg.OVS.Bridge = "lo"
	if at, err := FindUnderlay(cfg); err == nil || !strings.Contains(err.Error(), "is on lo, which is ovs.bridge") {
		t.Errorf("the switch: got %v, %v", at, err)
	}
	cfg.OVS.Bridge, cfg.Docker.Bridge = "br0", "lo"
	if at, err := FindUnderlay(cfg); err == nil || !strings.Contains(err.Error(), "is on lo, which is docker.bridge") {
		t.Errorf("Docker's bridge: got %v, %v", at, err)
	}
}

// Gossip reports a seed without an address, and resolves it again.
func TestASeedThatCannotBeResolvedEndsNoAgent(t *testing.T) {
	for _, c := range []struct {
		seeds []string
		want  netip.Addr
	}{
		{nil, netip.Addr{}},
		{[]string{"no-such-host.invalid:7946"}, netip.Addr{}},
		{[]string{"no-such-host.invalid:7946", "127.0.0.9:7946"}, netip.MustParseAddr("127.0.0.9")},
	} {
		if got := destination(config.Config{Mesh: config.MeshConfig{Join: c.seeds}}); got != c.want {
			t.Errorf("%q lead to %s, want %s", c.seeds, got, c.want)
		}
	}
}
