package bridge

import (
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var want = Spec{
	Bridge:  "docker0",
	OVSPort: "br0",
	Bip:     netip.MustParsePrefix("172.17.42.1/24"),
	MTU:     1462,
	Pool:    netip.MustParsePrefix("172.17.0.0/16"),
}

// peered has a peer behind the switch and one that is reached without a tunnel.
var peered = Spec{
	Bridge: want.Bridge, OVSPort: want.OVSPort, Bip: want.Bip, MTU: want.MTU, Pool: want.Pool, NoFlood: true,
	Peers: []Peer{
		{Bip: netip.MustParsePrefix("172.17.43.1/24")},
		{Bip: netip.MustParsePrefix("172.17.44.1/24"), Via: netip.MustParseAddr("192.0.2.3"), Link: "eth1"},
	},
}

func pin(ip string) Neighbour {
	addr := netip.MustParseAddr(ip)
	return Neighbour{addr, MAC(addr)}
}

// clean is what the kernel has when want is met.
func clean() State {
	return State{
		Bridge:  Link{Name: "docker0", Exists: true, MAC: MAC(want.Bip.Addr()), MTU: 1462, Up: true},
		OVSPort: Link{Name: "br0", Exists: true, MAC: net.HardwareAddr{2, 0, 0, 0, 0, 9}, MTU: 1462, Up: true, Master: "docker0"},
		Addrs:   prefixes("172.17.42.1/24"),
		Flood:   floodAll(true),
		Routes: []Route{
			{Dst: want.Pool, Link: "docker0", Protocol: RouteProtocol},
			{Dst: netip.MustParsePrefix("172.17.42.0/24"), Link: "docker0", Protocol: protocolKernel},
		},
		Sysctls: map[string]string{
			sysctlForward:              "1",
			sysctlForwardOf("docker0"): "1",
			sysctlRedirects("all"):     "0",
			sysctlRedirects("docker0"): "0",
			sysctlNotify("docker0"):    "1",
		},
	}
}

func prefixes(all ...string) (out []netip.Prefix) {
	for _, s := range all {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

func route(dst, via, link string, protocol, metric int) Route {
	r := Route{Dst: netip.MustParsePrefix(dst), Link: link, Protocol: protocol, Metric: metric}
	if via != "" {
		r.Via = netip.MustParseAddr(via)
	}
	return r
}

// render prints changes as a runbook: the difference as a comment, then the
// commands.
func render(changes []Change) string {
	var b strings.Builder
	for _, c := range changes {
		b.WriteString("# " + c.String() + "\n")
		for _, cmd := range c.Commands {
			b.WriteString(cmd + "\n")
		}
	}
	return b.String()
}

func TestDiffReadsAsARunbook(t *testing.T) {
	for _, tt := range []struct {
		name  string
		want  Spec
		spoil func(*State)
		plan  string
	}{
		{"a host as it should be", want, func(*State) {}, ""},
		{"a host with nothing but a switch", want, func(a *State) {
			*a = State{
				Bridge:  Link{Name: "docker0"},
				OVSPort: Link{Name: "br0", Exists: true, MTU: 1500},
				Sysctls: map[string]string{
					sysctlForward:              "0",
					sysctlForwardOf("docker0"): "0",
					sysctlRedirects("all"):     "1",
				},
			}
		}, `
# link docker0: is missing, should be a bridge with address 02:42:ac:11:2a:01, mtu 1462, up
ip link add docker0 address 02:42:ac:11:2a:01 type bridge
ip link set dev docker0 mtu 1462
ip link set dev docker0 up
# sysctl net.ipv4.ip_forward: is 0, should be 1
sysctl -w net.ipv4.ip_forward=1
# sysctl net.ipv4.conf.docker0.forwarding: is 0, should be 1
sysctl -w net.ipv4.conf.docker0.forwarding=1
# sysctl net.ipv4.conf.all.send_redirects: is 1, should be 0
sysctl -w net.ipv4.conf.all.send_redirects=0
# sysctl net.ipv4.conf.docker0.send_redirects: is missing, should be 0
sysctl -w net.ipv4.conf.docker0.send_redirects=0
# sysctl net.ipv4.conf.docker0.arp_notify: is missing, should be 1
sysctl -w net.ipv4.conf.docker0.arp_notify=1
# address of docker0: is missing, should be 172.17.42.1/24
ip address add 172.17.42.1/24 broadcast + dev docker0
# link br0 mtu: is 1500, should be 1462
ip link set dev br0 mtu 1462
# link br0 state: is down, should be up
ip link set dev br0 up
# link br0 master: is missing, should be docker0
ip link set dev br0 master docker0
# route 172.17.0.0/16: is missing, should be 172.17.0.0/16 dev docker0 proto 77
ip route add 172.17.0.0/16 dev docker0 proto 77 scope link
`},
		{"a docker0 as Docker makes it", want, func(a *State) {
			a.Bridge.MAC = net.HardwareAddr{2, 0x42, 1, 2, 3, 4}
			a.Bridge.MTU = 1500
			a.Addrs = prefixes("172.17.0.1/16")
			a.Routes = []Route{route("172.17.0.0/16", "", "docker0", protocolKernel, 0)}
		}, `
# link docker0 address: is 02:42:01:02:03:04, should be 02:42:ac:11:2a:01
ip link set dev docker0 address 02:42:ac:11:2a:01
# link docker0 mtu: is 1500, should be 1462
ip link set dev docker0 mtu 1462
# address of docker0: is 172.17.0.1/16, should be 172.17.42.1/24
ip address add 172.17.42.1/24 broadcast + dev docker0
ip address del 172.17.0.1/16 dev docker0
# route 172.17.0.0/16: is missing, should be 172.17.0.0/16 dev docker0 proto 77
ip route add 172.17.0.0/16 dev docker0 proto 77 scope link
`},
		{"no switch yet", want, func(a *State) { a.OVSPort = Link{Name: "br0"} }, ""},
		{"foreign addresses stay", want, func(a *State) {
			a.Addrs = prefixes("192.168.7.1/24", "172.17.42.1/24", "10.0.0.1/8")
		}, ""},
		{"another address of the pool beside the bip", want, func(a *State) {
			a.Addrs = prefixes("172.17.42.1/24", "172.17.42.254/24", "172.17.9.1/24")
		}, `
# address of docker0: is 172.17.42.1/24, 172.17.42.254/24, 172.17.9.1/24, should be 172.17.42.1/24
ip address del 172.17.9.1/24 dev docker0
ip address del 172.17.42.254/24 dev docker0
`},
		{"another address of the bip's network", want, func(a *State) {
			a.Addrs = prefixes("172.17.42.254/24")
		}, `
# address of docker0: is 172.17.42.254/24, should be 172.17.42.1/24
ip address add 172.17.42.1/32 broadcast + dev docker0
ip address del 172.17.42.254/24 dev docker0
ip address add 172.17.42.1/24 broadcast + dev docker0
ip address del 172.17.42.1/32 dev docker0
`},
		{"the bip behind another address of its network", want, func(a *State) {
			a.Addrs = prefixes("172.17.42.254/24", "172.17.42.1/24")
		}, `
# address of docker0: is 172.17.42.254/24, 172.17.42.1/24, should be 172.17.42.1/24
ip address add 172.17.42.1/32 broadcast + dev docker0
ip address del 172.17.42.1/24 dev docker0
ip address del 172.17.42.254/24 dev docker0
ip address add 172.17.42.1/24 broadcast + dev docker0
ip address del 172.17.42.1/32 dev docker0
`},
		{"the bip with another prefix", want, func(a *State) { a.Addrs = prefixes("172.17.42.1/16") }, `
# address of docker0: is 172.17.42.1/16, should be 172.17.42.1/24
ip address add 172.17.42.1/24 broadcast + dev docker0
ip address del 172.17.42.1/16 dev docker0
`},
		{"the port in another bridge", want, func(a *State) { a.OVSPort.Master = "virbr0" }, `
# link br0 master: is virbr0, should be docker0
ip link set dev br0 master docker0
`},
		{"docker0 down", want, func(a *State) { a.Bridge.Up = false }, `
# link docker0 state: is down, should be up
ip link set dev docker0 up
`},
		{"the recipe's own route is enough", want, func(a *State) {
			a.Routes = []Route{route("172.17.0.0/16", "", "docker0", 3, 0)}
		}, ""},
		{"a route to the pool by a gateway is not", want, func(a *State) {
			a.Routes = []Route{route("172.17.0.0/16", "172.17.42.9", "docker0", 3, 50)}
		}, `
# route 172.17.0.0/16: is missing, should be 172.17.0.0/16 dev docker0 proto 77
ip route add 172.17.0.0/16 dev docker0 proto 77 scope link
`},
		{"stale routes of ours", want, func(a *State) {
			a.Routes = []Route{
				route("172.18.0.0/16", "", "docker0", RouteProtocol, 0),
				route("172.17.0.0/16", "", "eth1", RouteProtocol, 0),
				route("10.9.0.0/16", "192.0.2.1", "eth0", RouteProtocol, 7),
			}
		}, `
# route 172.17.0.0/16: is 172.17.0.0/16 dev eth1 proto 77, should be 172.17.0.0/16 dev docker0 proto 77
ip route replace 172.17.0.0/16 dev docker0 proto 77 scope link
# route 172.18.0.0/16: is 172.18.0.0/16 dev docker0 proto 77, should not exist
ip route del 172.18.0.0/16 dev docker0 proto 77
# route 10.9.0.0/16: is 10.9.0.0/16 via 192.0.2.1 dev eth0 proto 77 metric 7, should not exist
ip route del 10.9.0.0/16 via 192.0.2.1 dev eth0 proto 77 metric 7
`},
		{"peers that come, by the switch and straight", peered, func(a *State) {}, `
# neighbour 172.17.43.1: is missing, should be 02:42:ac:11:2b:01
ip neighbour replace 172.17.43.1 lladdr 02:42:ac:11:2b:01 dev docker0 nud permanent
# neighbour 172.17.44.1: is missing, should be 02:42:ac:11:2c:01
ip neighbour replace 172.17.44.1 lladdr 02:42:ac:11:2c:01 dev docker0 nud permanent
# fdb 02:42:ac:11:2b:01: is missing, should be behind br0
bridge fdb replace 02:42:ac:11:2b:01 dev br0 master static
# fdb 02:42:ac:11:2c:01: is missing, should be behind br0
bridge fdb replace 02:42:ac:11:2c:01 dev br0 master static
# link br0 flooding: is flood on mcast_flood on bcast_flood on, should be flood off mcast_flood off bcast_flood off
bridge link set dev br0 flood off mcast_flood off bcast_flood off
# route 172.17.43.0/24: is missing, should be 172.17.43.0/24 via 172.17.43.1 dev docker0 onlink proto 77
ip route add 172.17.43.0/24 via 172.17.43.1 dev docker0 onlink proto 77
# route 172.17.44.0/24: is missing, should be 172.17.44.0/24 via 192.0.2.3 dev eth1 src 172.17.42.1 proto 77
ip route add 172.17.44.0/24 via 192.0.2.3 dev eth1 src 172.17.42.1 proto 77
`},
		{"peers that went, and one that is reached straight now", Spec{
			Bridge: want.Bridge, OVSPort: want.OVSPort, Bip: want.Bip, MTU: want.MTU, Pool: want.Pool, Peers: peered.Peers[1:],
		}, func(a *State) {
			a.Neighbours = []Neighbour{pin("172.17.43.1"), pin("172.17.44.1"), pin("10.0.0.9"),
				{netip.MustParseAddr("172.17.42.7"), net.HardwareAddr{2, 0, 0, 0, 0, 7}}}
			a.FDB = []net.HardwareAddr{MAC(netip.MustParseAddr("172.17.43.1")), MAC(netip.MustParseAddr("172.17.44.1")),
				{2, 0, 0, 0, 0, 7}}
			tunnelled := route("172.17.44.0/24", "172.17.44.1", "docker0", RouteProtocol, 0)
			tunnelled.Onlink = true
			a.Routes = append(a.Routes, route("172.17.43.0/24", "172.17.43.1", "docker0", RouteProtocol, 0), tunnelled)
		}, `
# neighbour 172.17.43.1: is 02:42:ac:11:2b:01, should not exist
ip neighbour del 172.17.43.1 dev docker0
# fdb 02:42:ac:11:2b:01: is behind br0, should not exist
bridge fdb del 02:42:ac:11:2b:01 dev br0 master
# route 172.17.44.0/24: is 172.17.44.0/24 via 172.17.44.1 dev docker0 onlink proto 77, should be 172.17.44.0/24 via 192.0.2.3 dev eth1 src 172.17.42.1 proto 77
ip route replace 172.17.44.0/24 via 192.0.2.3 dev eth1 src 172.17.42.1 proto 77
# route 172.17.43.0/24: is 172.17.43.0/24 via 172.17.43.1 dev docker0 proto 77, should not exist
ip route del 172.17.43.0/24 via 172.17.43.1 dev docker0 proto 77
`},
		{"the switch has left docker0, and with it what it forwarded", Spec{
			Bridge: want.Bridge, OVSPort: want.OVSPort, Bip: want.Bip, MTU: want.MTU, Pool: want.Pool, NoFlood: true,
		}, func(a *State) {
			a.OVSPort.Master = ""
			a.Flood = Flood{}
		}, `
# link br0 master: is missing, should be docker0
ip link set dev br0 master docker0
# link br0 flooding: is flood on mcast_flood on bcast_flood on, should be flood off mcast_flood off bcast_flood off
bridge link set dev br0 flood off mcast_flood off bcast_flood off
`},
		{"nothing of ours is wanted", Spec{}, func(*State) {}, `
# route 172.17.0.0/16: is 172.17.0.0/16 dev docker0 proto 77, should not exist
ip route del 172.17.0.0/16 dev docker0 proto 77
# link br0 master: is docker0, should not exist
ip link set dev br0 nomaster
`},
		{"nothing of ours is wanted, and there is nothing", Spec{}, func(a *State) {
			a.OVSPort.Master = "virbr0"
			a.Routes = []Route{route("172.17.0.0/16", "", "docker0", 3, 0)}
		}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			have := clean()
			tt.spoil(&have)
			if d := cmp.Diff(strings.TrimPrefix(tt.plan, "\n"), render(Diff(tt.want, have))); d != "" {
				t.Errorf("(-want +got)\n%s", d)
			}
		})
	}
}

func TestSysctlOfADeviceWithADotIsWrittenWithASlash(t *testing.T) {
	s := setSysctl{sysctlRedirects("docker.0"), "0"}
	if got := s.String(); got != "sysctl -w net.ipv4.conf.docker/0.send_redirects=0" {
		t.Error(got)
	}
}
