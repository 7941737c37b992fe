package main

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
		holds    bool
		refused  string // words of the error; empty: the agent starts
		warned   string // words of the warnings; empty: there are none
	}{
		{"free", outside, nil, false, "", ""},
		{"a less specific route", outside, over("172.16.0.0/12", "tun0"), false, "", "172.16.0.0/12 (device tun0)"},
		{"a less specific route, with a lease", outside, over("172.16.0.0/12", "tun0"), true, "", "172.16.0.0/12 (device tun0)"},
		{"a route inside", outside, over("172.17.64.0/20", "eth1"), false, "ip route del 172.17.64.0/20 dev eth1", ""},
		{"a route inside, with a lease", outside, over("172.17.64.0/20", "eth1"), true, "", "172.17.64.0/20"},
		{"a Docker network inside", outside, over("172.17.250.0/24", "br-0123456789ab"), false, "docker network rm 0123456789ab", ""},
		{"a Docker network inside, with a lease", outside, over("172.17.250.0/24", "br-0123456789ab"), true, "", "docker network rm 0123456789ab"},
		{"the underlay inside", inside, nil, false, "underlay address 172.17.5.5: choose another pool", ""},
		{"the underlay inside, with a lease", inside, nil, true, "", "underlay address 172.17.5.5"},
	} {
		warnings, err := judgePool(pool, tt.underlay, tt.overlaps, tt.holds)
		text := ""
		if err != nil {
			text = err.Error()
		}
		if (text == "") != (tt.refused == "") || !strings.Contains(text, tt.refused) {
			t.Errorf("%s: refused with %q, want %q", tt.name, text, tt.refused)
		}
		if is := strings.Join(warnings, "\n"); (is == "") != (tt.warned == "") || !strings.Contains(is, tt.warned) {
			t.Errorf("%s: warned of %q, want %q", tt.name, is, tt.warned)
		}
		if strings.Contains(tt.name, "Docker") && strings.Contains(text+strings.Join(warnings, ""), "another pool") {
			t.Errorf("%s: the advice is to choose another pool: %q, %q", tt.name, text, warnings)
		}
	}
}
