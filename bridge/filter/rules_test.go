package filter

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCompile(t *testing.T) {
	pool := netip.MustParsePrefix("172.17.0.0/16")
	for _, tt := range []struct {
		name      string
		config    Config
		underlays []netip.Prefix
		want      []netip.Prefix
	}{
		{"the default: the pool and private underlays", Config{},
			prefixes("192.168.248.0/24", "10.1.2.3/32", "203.0.113.0/24", "172.31.5.0/24"),
			prefixes("10.1.2.3/32", "172.17.0.0/16", "172.31.5.0/24", "192.168.248.0/24")},
		{"underlays within one another, twice, and with host bits", Config{},
			prefixes("192.168.248.139/24", "192.168.248.140/32", "192.168.248.0/24", "192.168.0.0/15"),
			prefixes("172.17.0.0/16", "192.168.248.0/24")},
		{"a list takes the underlays' place, and not the pool's", Config{NonMasqueradeCIDRs: prefixes("10.0.0.0/8")},
			prefixes("192.168.248.0/24"), prefixes("10.0.0.0/8", "172.17.0.0/16")},
		{"an empty list", Config{NonMasqueradeCIDRs: prefixes()},
			prefixes("192.168.248.0/24"), prefixes("172.17.0.0/16")},
		{"link-local, where the operator says so", Config{NonMasqueradeCIDRs: prefixes(), KeepLinkLocal: true},
			nil, prefixes("169.254.0.0/16", "172.17.0.0/16")},
		{"a list that has the pool within", Config{NonMasqueradeCIDRs: prefixes("172.16.0.0/12", "172.17.42.0/24", "10.0.0.0/8", "10.0.0.0/9")},
			nil, prefixes("10.0.0.0/8", "172.16.0.0/12")},
		{"everything", Config{NonMasqueradeCIDRs: prefixes("10.0.0.0/8", "0.0.0.0/0")}, nil, prefixes("0.0.0.0/0")},
		{"IPv6 has no effect", Config{NonMasqueradeCIDRs: prefixes("fd00::/8")}, nil, prefixes("172.17.0.0/16")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if d := cmp.Diff(tt.want, Compile(tt.config, pool, tt.underlays), byValue); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestKeepTakesWhatTheKernelHas(t *testing.T) {
	have, want := wanted(), wanted()
	have.NonMasquerade = prefixes("10.0.0.0/8", "172.17.0.0/16", "203.0.113.7/32")
	want.Keep = true
	if all := Diff(want, State{Table: natTable(have).listing()}); len(all) != 0 {
		t.Error(all)
	}
	if d := cmp.Diff(Diff(wanted(), State{})[0].Commands, Diff(want, State{})[0].Commands); d != "" {
		t.Error(d)
	}
}
