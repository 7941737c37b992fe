package machine

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/gremesh/gremesh/bridge"
)

func TestThePoolIsRefusedOnlyForWhatTakesItsAddresses(t *testing.T) {
	pool := netip.MustParsePrefix("172.17.0.0/16")
	outside, inside := netip.MustParseAddr("192.168.248.139"), netip.MustParseAddr("172.17.5.5")
	over := func(dst, link string) []bridge.Overlap {
		return bridge.Overlaps(pool, []bridge.Route{{Dst: netip.MustParsePrefix(dst), Link: link}})
	}
	for _, tt := range []struct {
		name     string
		underlay netip.Addr
		overlaps []bridge.Overlap
		refused  string // words of the error; empty: the agent starts
		warned   string // words of the warnings; empty: there are none
	}{
		{"free", outside, nil, "", ""},
		{"a less specific route", outside, over("172.16.0.0/12", "tun0"), "", "172.16.0.0/12 (device tun0)"},
		{"a route inside", outside, over("172.17.64.0/20", "eth1"), "ip route del 172.17.64.0/20 dev eth1", ""},
		{"a Docker network inside", outside, over("172.17.250.0/24", "br-0123456789ab"), "docker network rm 0123456789ab", ""},
		{"the underlay inside", inside, nil, "underlay address 172.17.5.5: choose another pool", ""},
	} {
		var refused, warned []string
		for _, f := range judgePool(pool, tt.underlay, tt.overlaps) {
			if f.Tolerable {
				warned = append(warned, f.String())
			} else {
				refused = append(refused, f.String())
			}
		}
		if is := strings.Join(refused, "\n"); (is == "") != (tt.refused == "") || !strings.Contains(is, tt.refused) {
			t.Errorf("%s: refused with %q, want %q", tt.name, is, tt.refused)
		}
		if is := strings.Join(warned, "\n"); (is == "") != (tt.warned == "") || !strings.Contains(is, tt.warned) {
			t.Errorf("%s: warned of %q, want %q", tt.name, is, tt.warned)
		}
		if strings.Contains(tt.name, "Docker") && strings.Contains(strings.Join(refused, ""), "another pool") {
			t.Errorf("%s: the advice is to choose another pool: %q", tt.name, refused)
		}
	}
}
