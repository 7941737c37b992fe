package ovsdb

import (
	"net/netip"
	"testing"
)

func TestGREOverIPv6HasATypeOfItsOwn(t *testing.T) {
	v4, v6 := netip.MustParseAddr("192.0.2.2"), netip.MustParseAddr("2001:db8::2")
	for _, c := range []struct {
		kind   string
		remote netip.Addr
		column string
	}{
		{"gre", v4, "gre"}, {"gre", v6, "ip6gre"}, {greOverIPv4, v6, "gre"},
		{"vxlan", v4, "vxlan"}, {"vxlan", v6, "vxlan"}, {"geneve", v6, "geneve"}, {"", netip.Addr{}, ""},
	} {
		if got := interfaceType(c.kind, c.remote); got != c.column {
			t.Errorf("%s to %s is %s, want %s", c.kind, c.remote, got, c.column)
		}
		if got := typeOf(c.column, c.remote); got != c.kind {
			t.Errorf("%s to %s is read as %s, want %s", c.column, c.remote, got, c.kind)
		}
	}
}
