package bridge

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestOverlapsTellsRoutesInsideThePoolFromLessSpecificOnes(t *testing.T) {
	pool := netip.MustParsePrefix("172.17.0.0/16")
	for _, tt := range []struct {
		name   string
		routes []Route
		want   []string
	}{
		{"no overlap", []Route{route("192.168.248.0/24", "", "eth0", 2, 0), route("172.18.0.0/16", "", "br-1", 2, 0)}, nil},
		{"own devices", []Route{route("172.17.0.0/16", "", "docker0", 2, 0), route("172.17.3.0/24", "", "br0", 2, 0)}, nil},
		{"an old route of gremesh", []Route{route("172.17.0.0/16", "", "eth1", RouteProtocol, 0)}, nil},
		{"inside", []Route{route("172.17.64.0/20", "", "eth1", 2, 0)}, []string{"172.17.64.0/20 (device eth1) inside: true"}},
		{"the pool itself", []Route{route("172.17.0.0/16", "", "eth1", 2, 0)}, []string{"172.17.0.0/16 (device eth1) inside: true"}},
		{"one host", []Route{route("172.17.9.9/32", "10.0.0.1", "tun0", 3, 0)}, []string{"172.17.9.9/32 (device tun0) inside: true"}},
		{"less specific", []Route{route("172.16.0.0/12", "10.0.0.1", "tun0", 3, 0)}, []string{"172.16.0.0/12 (device tun0) inside: false"}},
		{
			"several, each once and sorted",
			[]Route{route("172.17.64.0/20", "", "eth1", 2, 0), route("172.16.0.0/12", "", "tun0", 3, 0), route("172.17.64.0/20", "", "eth1", 2, 100)},
			[]string{"172.16.0.0/12 (device tun0) inside: false", "172.17.64.0/20 (device eth1) inside: true"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, o := range Overlaps(pool, tt.routes, "docker0", "br0") {
				got = append(got, fmt.Sprintf("%s inside: %t", o, o.Inside))
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Errorf("(-want +got)\n%s", d)
			}
		})
	}
}

func TestRemedyOfAnOverlapNamesTheDockerNetwork(t *testing.T) {
	pool := netip.MustParsePrefix("172.17.0.0/16")
	for link, want := range map[string]string{
		"br-0123456789ab": "docker network rm 0123456789ab",
		"br-phy":          "ip route del 172.17.64.0/20 dev br-phy",
		"eth1":            "ip route del 172.17.64.0/20 dev eth1",
	} {
		all := Overlaps(pool, []Route{route("172.17.64.0/20", "", link, 2, 0)})
		if len(all) != 1 || !strings.Contains(all[0].Remedy(), want) {
			t.Errorf("%s: %+v", link, all)
		}
	}
}
