package mesh

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gremesh/gremesh/bridge"
	"github.com/gremesh/gremesh/bridge/docker"
	"github.com/gremesh/gremesh/ovsdb"
)

func objects(p Preview) []string {
	var all []string
	for _, d := range p.Drift {
		all = append(all, d.Object)
	}
	return all
}

func TestPlanTellsAllThatThePassesWouldChangeAndChangesNothing(t *testing.T) {
	for name, c := range map[string]struct {
		happens func(*world)
		want    []string
	}{
		"nothing": {func(*world) {}, nil},
		"a bare host, br0's device included": {func(w *world) {
			w.ovs, w.docker, w.kernel = ovsdb.State{}, docker.State{}, bridge.State{Bridge: bridge.Link{Name: "docker0"}, OVSPort: bridge.Link{Name: "br0"}}
		}, []string{
			"bridge br0", "port gre43", "daemon.json bip", "daemon.json mtu",
			"link docker0", "sysctl net.ipv4.ip_forward", "sysctl net.ipv4.conf.docker0.forwarding", "sysctl net.ipv4.conf.all.send_redirects", "sysctl net.ipv4.conf.docker0.send_redirects", "sysctl net.ipv4.conf.docker0.arp_notify", "address of docker0", "link br0 state", "link br0 master", "route 172.17.0.0/16",
		}},
		"a peer has another subnet: the new port as well": {func(w *world) {
			w.view.Peers[0].Subnet = netip.MustParsePrefix("172.17.99.0/24")
		}, []string{"port gre43", "port gre99", "nftables table bridge gremesh"}},
		"Docker is to be restarted, sets the address itself and loses the route": {func(w *world) {
			w.docker.Bip, w.kernel.Addrs = "172.17.0.1/16", []netip.Prefix{netip.MustParsePrefix("172.17.0.1/16")}
		}, []string{"daemon.json bip", "dockerd", "route 172.17.0.0/16"}},
		"no Docker runs that would set the address": {func(w *world) {
			w.docker.Running, w.kernel.Addrs = false, []netip.Prefix{netip.MustParsePrefix("172.17.0.1/16")}
		}, []string{"address of docker0"}},
		"a bridge that Open vSwitch has and the kernel does not": {func(w *world) {
			w.kernel.OVSPort = bridge.Link{Name: "br0"}
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			w := planned(testHost(2))
			c.happens(w)
			p := w.loop().Plan(t.Context())
			if d := cmp.Diff(c.want, objects(p)); d != "" {
				t.Errorf("(-want +got)\n%s", d)
			}
			for _, d := range p.Drift {
				if byHand := d.Object == dockerd || strings.HasPrefix(d.Object, "daemon.json"); (len(d.Commands) == 0) != byHand {
					t.Errorf("%s: commands %q", d.Object, d.Commands)
				}
			}
			if len(w.applied) > 0 || len(p.Unseen) > 0 {
				t.Errorf("applied %v, unseen %v", w.applied, p.Unseen)
			}
		})
	}
}

func TestPlanSaysWhatItCanNotTell(t *testing.T) {
	w := planned(testHost(2))
	w.ovsErr, w.kernel.Routes = errors.New("no Open vSwitch"), nil
	if p := w.loop().Plan(t.Context()); !slices.Equal(p.Unseen, []string{"no Open vSwitch"}) || len(p.Drift) > 0 {
		t.Errorf("%+v", p)
	}
	w = planned(testHost(2))
	w.view.Self.Subnet, w.view.Waiting = netip.Prefix{}, "no seed answers"
	if p := w.loop().Plan(t.Context()); p.Waiting != "no seed answers" || len(p.Drift) > 0 {
		t.Errorf("%+v", p)
	}
}
