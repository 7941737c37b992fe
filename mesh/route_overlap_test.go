package mesh

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/gremesh/gremesh/bridge"
)

func TestARouteInsideThePoolIsAProblemAndDrift(t *testing.T) {
	w := planned(testHost(2), testHost(3))
	l := w.loop()
	half := netip.PrefixFrom(testHost(2).Subnet.Addr(), 25)
	free := netip.MustParsePrefix("172.17.250.0/24")
	for _, tt := range []struct {
		name  string
		route bridge.Route
		what  string
		do    string
	}{
		{"half of a peer", bridge.Route{Dst: half, Link: "tun0"}, "the route " + half.String() + " (device tun0) takes addresses of h2", "ip route del " + half.String() + " dev tun0"},
		{"a Docker network", bridge.Route{Dst: testHost(3).Subnet, Link: "br-0123456789ab"}, "the Docker network 0123456789ab", "docker network rm 0123456789ab"},
		{"of nobody", bridge.Route{Dst: free, Kind: "blackhole"}, "(blackhole) takes addresses of the pool", "ip route del blackhole 172.17.250.0/24"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w.kernel.Intruders = []bridge.Route{tt.route}
			pass(t, l)
			got := l.Status(t.Context()).Problems
			if len(got) != 1 || !strings.Contains(got[0].What, tt.what) || !strings.Contains(got[0].Do, tt.do) {
				t.Errorf("problems are %+v", got)
			}
			if audit := l.Audit(t.Context()); len(audit.Drift) != 1 || audit.Drift[0].Object != "route "+tt.route.Dst.String() {
				t.Errorf("drift is %+v", audit.Drift)
			}
			if row := l.Row(t.Context()); row.Drift != 1 {
				t.Errorf("the row has %d differences", row.Drift)
			}
			w.kernel.Intruders = nil
			pass(t, l)
			if got := l.Status(t.Context()).Problems; len(got) > 0 {
				t.Errorf("afterwards: %+v", got)
			}
		})
	}
}
