package mesh

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gremesh/gremesh/bridge"
	"github.com/gremesh/gremesh/bridge/filter"
	"github.com/gremesh/gremesh/mesh/journal"
	"github.com/gremesh/gremesh/ovsdb"
)

// twoPeers is a world with hosts 2 and 3 in it.
func twoPeers() *world { return planned(testHost(2), testHost(3)) }

// Each case says what has happened since a pass that left all in order, and what
// the next one says to have caused each of its changes.
func TestCauses(t *testing.T) {
	addr := netip.MustParsePrefix
	const third = "192.168.248.99"
	for name, c := range map[string]struct {
		happens func(*world)
		ages    map[string]time.Duration
		want    map[string]string // cause by object; * for all others
	}{
		"a port is deleted": {
			func(w *world) { w.ovs.Ports = w.ovs.Ports[:1] }, nil,
			map[string]string{"port gre44": unknownCause},
		},
		"protected is switched off": {
			func(w *world) { w.ovs.Ports[0].Protected = false }, nil,
			map[string]string{"port gre43 protected": unknownCause},
		},
		"a port is changed while something else was restarted": {
			func(w *world) { w.ovs.Ports[0].Protected = false }, map[string]time.Duration{vswitchd: time.Second, dockerd: time.Second},
			map[string]string{"port gre43 protected": unknownCause},
		},
		"a port is deleted right after ovsdb-server was restarted": {
			func(w *world) { w.ovs.Ports = w.ovs.Ports[:1] }, map[string]time.Duration{"ovsdb-server": time.Second},
			map[string]string{"port gre44": unknownCause},
		},
		"the forwarding table has an entry too many": {
			func(w *world) { w.ovs.Static = map[ovsdb.MAC]int{{2, 0x42, 172, 17, 43, 1}: 1} }, nil,
			map[string]string{"fdb gre43 02:42:ac:11:2b:01": unknownCause},
		},
		"the forwarding table of a new ovs-vswitchd is another": {
			func(w *world) { w.ovs.Static = map[ovsdb.MAC]int{{2, 0x42, 172, 17, 43, 1}: 1} }, map[string]time.Duration{vswitchd: time.Second},
			map[string]string{"fdb gre43 02:42:ac:11:2b:01": "ovs-vswitchd was restarted"},
		},
		"the flows of a new ovs-vswitchd are others": {
			func(w *world) {
				w.ovs.Forwarding = &ovsdb.Forwarding{Normal: true, Bindings: map[ovsdb.Binding]bool{{MAC: ovsdb.MAC{2, 0x42, 172, 17, 43, 1}}: true}}
			}, map[string]time.Duration{vswitchd: time.Second},
			map[string]string{"flows br0 02:42:ac:11:2b:01": "ovs-vswitchd was restarted"},
		},
		"the database is emptied": {
			func(w *world) {
				w.ovs = ovsdb.State{Database: "a new one"}
				w.kernel.OVSPort = bridge.Link{Name: "br0", Exists: true, Index: 9, MTU: 1462}
			},
			map[string]time.Duration{vswitchd: time.Second},
			map[string]string{"*": "the database of Open vSwitch was emptied"},
		},
		"the database is emptied, and others have made their bridge anew": {
			func(w *world) {
				w.ovs = ovsdb.State{Database: "a new one", Ports: []ovsdb.Port{{Tunnel: ovsdb.Tunnel{Name: "br-phy"}, Bridge: "br-phy"}}}
				w.kernel.OVSPort = bridge.Link{Name: "br0", Exists: true, Index: 9, MTU: 1462}
			}, nil,
			map[string]string{"*": "the database of Open vSwitch was emptied"},
		},
		"br0 is deleted beside a bridge of others": {
			func(w *world) {
				w.ovs = ovsdb.State{Database: w.ovs.Database, Ports: []ovsdb.Port{{Tunnel: ovsdb.Tunnel{Name: "br-phy"}, Bridge: "br-phy"}}}
				w.kernel.OVSPort = bridge.Link{Name: "br0", Exists: true, Index: 9, MTU: 1462}
			}, nil,
			map[string]string{"bridge br0": unknownCause, "port gre43": "br0 was deleted", "port gre44": "br0 was deleted",
				"link br0 state": unknownCause, "link br0 master": unknownCause},
		},
		"br0 is deleted, and was the only bridge": {
			func(w *world) {
				w.ovs = ovsdb.State{Database: w.ovs.Database}
				w.kernel.OVSPort = bridge.Link{Name: "br0", Exists: true, Index: 9, MTU: 1462}
			}, nil,
			map[string]string{"bridge br0": unknownCause, "port gre43": "br0 was deleted", "port gre44": "br0 was deleted",
				"link br0 state": unknownCause, "link br0 master": unknownCause},
		},
		"a host joins": {
			func(w *world) { w.view.Peers = append(w.view.Peers, testHost(4)) }, nil,
			map[string]string{"port gre45": "h4 joined", packets: "h4 joined"},
		},
		"a host leaves": {
			func(w *world) { w.view.Peers[0].Liveness = Left }, nil,
			map[string]string{"port gre43": "h2 left", packets: "h2 left"},
		},
		"a host is forgotten": {
			func(w *world) { w.view.Peers = w.view.Peers[1:] }, nil,
			map[string]string{"port gre43": "h2 is gone", packets: "h2 is gone"},
		},
		"a host fails and its grace is over": {
			func(w *world) {
				w.view.Peers[0].Liveness, w.view.Peers[0].Since = Failed, time.Now().Add(-time.Hour)
				w.ovs.Ports[0].BFD.State = "down"
			}, nil,
			map[string]string{"port gre43": "h2 failed", packets: "h2 failed"},
		},
		"a host moves": {
			func(w *world) { w.view.Peers[0].Underlay = netip.MustParseAddr(third) }, nil,
			map[string]string{"interface gre43 options:remote_ip": "h2 moved to " + third, packets: "h2 moved to " + third},
		},
		"a host renumbers": {
			func(w *world) { w.view.Peers[0].Subnet = addr("172.17.99.0/24") }, nil,
			map[string]string{"port gre43": "h2 has another subnet", "nftables table bridge gremesh": "h2 has another subnet"}, // its new port comes when the old one is gone
		},
		"a host is renamed": {
			func(w *world) { w.view.Peers[0].Name = "h9" }, nil,
			map[string]string{"port gre43 external_ids:gremesh-name": "h2 was renamed to h9"},
		},
		"a host loses a conflict": {
			func(w *world) { w.view.Peers[0].Cut = true }, nil,
			map[string]string{"port gre43": "h2 has lost its subnet to another host", packets: "h2 has lost its subnet to another host"},
		},
		"this host loses a conflict": {
			func(w *world) { w.view.Self.Cut = true }, nil,
			map[string]string{"*": "this host has lost its subnet to another"},
		},
		"this host moves": {
			func(w *world) { w.view.Self.Underlay = netip.MustParseAddr(third) }, nil,
			map[string]string{"*": "this host moved to " + third},
		},
		"the table is flushed away": {
			func(w *world) { w.nat = filter.State{} }, nil,
			map[string]string{packets: unknownCause},
		},
		"the operator has another list": {
			func(w *world) { w.said.Config.NonMasqueradeCIDRs = []netip.Prefix{addr("10.0.0.0/8")} }, nil,
			map[string]string{packets: "the operator says so (masquerade)"},
		},
		"docker0 is re-addressed, and the route lost with that": {
			func(w *world) { w.kernel.Addrs, w.kernel.Routes = []netip.Prefix{addr("172.17.0.1/16")}, nil }, nil,
			map[string]string{"*": "docker0 was re-addressed (172.17.42.1/24 -> 172.17.0.1/16)"},
		},
		"by a dockerd that was restarted": {
			func(w *world) { w.kernel.Addrs, w.kernel.Routes = []netip.Prefix{addr("172.17.0.1/16")}, nil },
			map[string]time.Duration{dockerd: 2 * time.Second},
			map[string]string{"*": "dockerd was restarted: docker0 was re-addressed (172.17.42.1/24 -> 172.17.0.1/16)"},
		},
		"docker0's address is deleted": {
			func(w *world) { w.kernel.Addrs, w.kernel.Routes = nil, nil }, nil,
			map[string]string{"*": "docker0 was re-addressed (172.17.42.1/24 -> none)"},
		},
		"docker0 is created again": {
			func(w *world) {
				w.kernel.Bridge.Index, w.kernel.Bridge.MTU, w.kernel.OVSPort.Master, w.kernel.Addrs, w.kernel.Routes = 7, 1500, "", nil, nil
				w.kernel.Sysctls["net/ipv4/conf/docker0/send_redirects"] = "1"
			}, nil,
			map[string]string{"*": "docker0 was created again"},
		},
		"docker0 is deleted": {
			func(w *world) {
				w.kernel.Bridge, w.kernel.OVSPort.Master, w.kernel.Addrs, w.kernel.Routes = bridge.Link{Name: "docker0"}, "", nil, nil
				delete(w.kernel.Sysctls, "net/ipv4/conf/docker0/send_redirects")
			}, nil,
			map[string]string{"*": "docker0 was deleted"},
		},
		"docker0 is taken down": {
			func(w *world) { w.kernel.Bridge.Up, w.kernel.Routes = false, nil }, nil,
			map[string]string{"link docker0 state": unknownCause, "route 172.17.0.0/16": "docker0 was taken down"},
		},
		"the route is deleted": {
			func(w *world) { w.kernel.Routes = nil }, nil,
			map[string]string{"route 172.17.0.0/16": unknownCause},
		},
		"br0 is taken out of docker0": {
			func(w *world) { w.kernel.OVSPort.Master = "" }, nil,
			map[string]string{"link br0 master": unknownCause},
		},
		"ovs-vswitchd is restarted and makes br0 anew": {
			func(w *world) { w.kernel.OVSPort.Master, w.kernel.OVSPort.Index, w.kernel.OVSPort.Up = "", 8, false },
			map[string]time.Duration{vswitchd: 3 * time.Second},
			map[string]string{"*": "ovs-vswitchd was restarted"},
		},
		"a sysctl is set": {
			func(w *world) { w.kernel.Sysctls["net/ipv4/ip_forward"] = "0" }, map[string]time.Duration{vswitchd: time.Second},
			map[string]string{"sysctl net.ipv4.ip_forward": unknownCause},
		},
		"daemon.json is edited": {
			func(w *world) { w.docker.Bip, w.docker.Running = "172.17.0.1/16", false }, nil,
			map[string]string{"daemon.json bip": unknownCause},
		},
		"this host is given another subnet": {
			func(w *world) {
				w.view.Self.Subnet = addr("172.17.77.0/24")
				w.docker.Running = false
			}, nil,
			map[string]string{"lease": "a majority of the hosts granted it", "*": "this host has another subnet"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := twoPeers()
				l := w.loop()
				pass(t, l)
				time.Sleep(time.Minute)
				pass(t, l)
				if len(w.history) > 0 || w.searched > 0 {
					t.Fatalf("in order, %+v was changed, and processes looked for %d times", w.history, w.searched)
				}
				time.Sleep(time.Minute)
				w.view.Peers = slices.Clone(w.view.Peers)
				c.happens(w)
				w.ages = c.ages
				pass(t, l)
				for _, change := range w.history {
					want, named := c.want[change.Object]
					if !named {
						want = c.want["*"]
					}
					if strings.HasPrefix(change.Object, "nftables table ") && c.want[packets] != "" { // of another family
						want = c.want[packets]
					}
					if change.Cause != want {
						t.Errorf("%s (%s -> %s): %q, want %q", change.Object, change.Was, change.Is, change.Cause, want)
					}
				}
				for object := range c.want {
					if object != "*" && !slices.ContainsFunc(w.history, func(h journal.Change) bool { return h.Object == object }) {
						t.Errorf("%s was not changed", object)
					}
				}
				if len(w.history) == 0 || w.searched > 1 {
					t.Errorf("%d changes, %d searches for processes", len(w.history), w.searched)
				}
			})
		})
	}
}

func TestTheFirstChangesAreTheAgentsStartOrThatItTookASubnet(t *testing.T) {
	w := twoPeers()
	w.kernel.Routes = nil
	l := w.loop()
	if pass(t, l); len(w.history) != 1 || w.history[0].Cause != "the agent was started" {
		t.Errorf("%+v", w.history)
	}

	w = twoPeers()
	subnet := w.view.Self.Subnet
	w.view.Self.Subnet = netip.Prefix{}
	w.kernel.Routes = nil
	l = w.loop()
	pass(t, l)
	w.view.Self.Subnet = subnet
	pass(t, l)
	if len(w.history) != 2 || w.history[0].Object != "lease" || w.history[0].Is != subnet.String() || w.history[1].Cause != "this host took "+subnet.String() {
		t.Errorf("%+v", w.history)
	}
}

func TestARestartOfDockerIsInTheHistoryAndEveryChangeIsLogged(t *testing.T) {
	w := staleDocker()
	w.takes = func() { w.docker.NeedsRestart, w.kernel = false, kernelAsPlanned() }
	l := w.loop()
	pass(t, l)
	last := w.history[len(w.history)-1]
	if last.Object != "dockerd" || last.Is != "restarted" || !strings.Contains(last.Cause, "bip 172.17.42.1/24") {
		t.Errorf("%+v", w.history)
	}
	if n := strings.Count(w.log.String(), "msg=changed"); n != len(w.history) || !strings.Contains(w.log.String(), "cause=") {
		t.Errorf("%d lines for %d changes:\n%s", n, len(w.history), w.log.String())
	}
}
