package mesh

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/gremesh/gremesh/bridge"
	"github.com/gremesh/gremesh/ovsdb"
)

func TestTakes(t *testing.T) {
	here, there := netip.MustParseAddr("10.90.0.1"), netip.MustParseAddr("10.90.0.2")
	tunnel := ovsdb.Tunnel{Type: "gre", Local: here, Remote: there}
	of := func(change func(*ovsdb.Tunnel)) ovsdb.Tunnel { t := tunnel; change(&t); return t }
	for name, c := range map[string]struct {
		device bridge.Gretap
		tunnel ovsdb.Tunnel
		want   bool
	}{
		"between the same":       {bridge.Gretap{Local: here, Remote: there}, tunnel, true},
		"from anywhere":          {bridge.Gretap{Local: here}, tunnel, true},
		"to anywhere":            {bridge.Gretap{Remote: there}, tunnel, true},
		"from another":           {bridge.Gretap{Local: here, Remote: here}, tunnel, false},
		"to another address":     {bridge.Gretap{Local: there, Remote: there}, tunnel, false},
		"it alone has a key":     {bridge.Gretap{Remote: there, Keyed: true, Key: 7}, tunnel, false},
		"it alone has the key 0": {bridge.Gretap{Remote: there, Keyed: true}, tunnel, false},
		"the tunnel alone has":   {bridge.Gretap{Remote: there}, of(func(t *ovsdb.Tunnel) { t.Key = 7 }), false},
		"the same key":           {bridge.Gretap{Remote: there, Keyed: true, Key: 7}, of(func(t *ovsdb.Tunnel) { t.Key = 7 }), true},
		"any with the same key":  {bridge.Gretap{Keyed: true, Key: 7}, of(func(t *ovsdb.Tunnel) { t.Key = 7 }), true},
		"another key":            {bridge.Gretap{Remote: there, Keyed: true, Key: 8}, of(func(t *ovsdb.Tunnel) { t.Key = 7 }), false},
		"the tunnel is no GRE":   {bridge.Gretap{Remote: there}, of(func(t *ovsdb.Tunnel) { t.Type = "vxlan" }), false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := takes(c.device, c.tunnel); got != c.want {
				t.Errorf("%t", got)
			}
		})
	}
}

func TestADeviceThatTakesAPeersPacketsIsNamed(t *testing.T) {
	w := planned(testHost(2))
	l := w.loop()
	pass(t, l)
	if w.says(l, "takes the GRE packets") {
		t.Error("there is none, and it is named")
	}
	w.kernel.Gretaps = []bridge.Gretap{{Name: "old", Remote: testHost(2).Underlay}}
	pass(t, l)
	if !w.says(l, "device old takes the GRE packets of h2 (192.168.248.140)") {
		t.Errorf("%+v", l.Status(t.Context()).Problems)
	}
}

func TestADeviceOfTheSwitchsNameThatIsAnothersIsTold(t *testing.T) {
	if got := stranger("br0", ""); got != nil {
		t.Errorf("got %v", got)
	}
	if got := stranger("br0", "bridge"); len(got) != 1 || !strings.Contains(got[0].What, "device br0 is not Open vSwitch's: it is of the kind bridge") {
		t.Errorf("got %v", got)
	}
}
