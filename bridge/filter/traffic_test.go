package filter

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// meshRules are those of the lab: the peer's underlay address is in the mesh.
func meshRules() Rules {
	r := wanted()
	r.NonMasquerade = prefixes("169.254.0.0/16", "172.17.0.0/16", "192.168.248.139/32", "192.168.248.140/32")
	r.Forward = []Path{{"docker0", "docker0"}, {"eth0", "docker0"}, {"docker0", "eth0"}}
	return r
}

// TestMeshTrafficKeepsItsSource checks the addresses that a peer's container,
// a peer and the outside see, with Docker's rules made before ours, after ours,
// again, and put in front.
func TestMeshTrafficKeepsItsSource(t *testing.T) {
	for _, ipt := range backends {
		t.Run(ipt, func(t *testing.T) {
			l := build(t)
			check := func(when string, route func()) {
				l.Helper()
				route()
				l.sees(peerContainer, container)
				l.sees(peerUnderlay, container)
				l.sees(outside, hostOutside)
				if l.Failed() {
					l.Fatalf("%s:\n%s", when, l.sh("nft list ruleset; "+ipt+"-save"))
				}
			}
			l.sh("ipt=" + ipt + dockersRules)
			l.direct()
			l.sees(peerContainer, hostUnderlay) // what this is all about
			l.tunnel()
			l.sees(peerUnderlay, hostUnderlay)

			l.reach(meshRules())
			check("ours after Docker's", l.tunnel)
			check("ours after Docker's, direct", l.direct)

			l.sh(`nft delete table ip gremesh
				` + ipt + ` -t nat -F POSTROUTING; ` + ipt + ` -F DOCKER-USER; ` + ipt + ` -A DOCKER-USER -j RETURN`)
			l.reach(meshRules())
			l.sh(ipt + ` -t nat -A POSTROUTING -s 172.17.42.0/24 ! -o docker0 -j MASQUERADE`)
			check("Docker's after ours", l.tunnel)
			check("Docker's after ours, direct", l.direct)

			l.sh(ipt + ` -t nat -D POSTROUTING 1; ` + ipt + ` -t nat -I POSTROUTING -s 172.17.42.0/24 ! -o docker0 -j MASQUERADE`)
			check("Docker's again, in front", l.direct)
			if _, err := os.Stat("/proc/sys/net/bridge"); err == nil {
				l.sh("sysctl -qw net.bridge.bridge-nf-call-iptables=1")
				check("bridged frames through iptables", l.tunnel)
			}

			everything := meshRules()
			everything.NonMasquerade = prefixes("0.0.0.0/0")
			l.reach(everything)
			l.sees(outside, container)

			l.reach(Rules{})
			l.direct()
			l.sees(peerContainer, hostUnderlay)
			l.sees(outside, hostOutside)
		})
	}
}

func TestMeshTrafficKeepsItsSourceWithoutConntrack(t *testing.T) {
	l := build(t)
	l.sh("iptables-nft -t nat -A POSTROUTING -s 172.17.42.0/24 ! -o docker0 -j MASQUERADE")
	l.reach(meshRules())
	l.sh(`nft 'add table ip other; add chain ip other pre { type filter hook prerouting priority raw; };
		add rule ip other pre ip saddr 172.17.0.0/16 ip daddr 172.17.0.0/16 notrack'`)
	l.direct()
	l.sees(peerContainer, container)
	l.tunnel()
	l.sees(peerContainer, container)
}

func TestConnectionsKeepTheMappingThatTheyBeganWith(t *testing.T) {
	l := build(t)
	l.sh("iptables-nft -t nat -A POSTROUTING -s 172.17.42.0/24 ! -o docker0 -j MASQUERADE")
	ask := func(port, want string) {
		l.Helper()
		if got := l.askFrom("c", "udp4", port, peerUnderlay); got != want {
			l.Errorf("port %s is seen as %q, want %q", port, got, want)
		}
	}
	ask("5001", hostUnderlay)
	l.reach(meshRules())
	ask("5001", hostUnderlay)
	ask("5002", container)
	l.reach(Rules{})
	ask("5002", container)
	ask("5003", hostUnderlay)
}

// TestAContainerReachesItselfByAPublishedPort: with Docker's rules for it,
// which masquerade (daemon.json, userland-proxy: false).
func TestAContainerReachesItselfByAPublishedPort(t *testing.T) {
	l := build(t)
	l.mirror("c")
	l.sh("ipt=iptables-nft" + dockersRules + `
		$ipt -t nat -A DOCKER -p tcp --dport ` + mirrorPort + ` -j DNAT --to-destination ` + container + `
		$ipt -t nat -A POSTROUTING -s ` + container + ` -d ` + container + ` -p tcp --dport ` + mirrorPort + ` -j MASQUERADE
		ip link set c0 type bridge_slave hairpin on`)
	l.reach(meshRules())
	if got := l.askFrom("c", "tcp4", "0", hostUnderlay); got != "172.17.42.1" {
		t.Errorf("it is seen as %q", got)
	}
}

// TestForwarding: what stands in the way of mesh traffic is accepted where
// that helps, and named where it does not.
func TestForwarding(t *testing.T) {
	network := build(t)
	for _, ipt := range backends {
		for _, tt := range []struct {
			name, script string
			seen         string // by the peer's container; "nobody": it is dropped
			obstacle     string // its beginning
		}{
			{"Docker's policy DROP", "true", container, ""},
			{"icc off", "$ipt -D FORWARD -i docker0 -o docker0 -j ACCEPT; $ipt -A FORWARD -i docker0 -o docker0 -j DROP", container, ""},
			{"a REJECT of the distribution's behind Docker's", "$ipt -D FORWARD -i docker0 -o docker0 -j ACCEPT; $ipt -A FORWARD -j REJECT --reject-with icmp-host-prohibited", container, ""},
			{"a REJECT of the distribution's in front", "$ipt -I FORWARD -j REJECT --reject-with icmp-host-prohibited", "nobody",
				ipt + " chain FORWARD drops mesh traffic from docker0 to docker0: -j REJECT --reject-with icmp-host-prohibited; to let it pass: "},
			{"the operator's own drop", "$ipt -I DOCKER-USER -d 172.17.0.0/16 -j DROP", "nobody",
				ipt + " chain DOCKER-USER drops mesh traffic from docker0 to docker0: -d 172.17.0.0/16 -j DROP; to let it pass: "},
			{"another table's policy", "nft 'add table inet firewalld; add chain inet firewalld filter_FORWARD { type filter hook forward priority 10; policy drop; }; add rule inet firewalld filter_FORWARD ct state established accept'", "nobody",
				"nftables table inet firewalld chain filter_FORWARD drops mesh traffic from docker0 to docker0: policy DROP; to let it pass: "},
			{"another table's reject", `nft 'add table inet firewalld; add chain inet firewalld filter_FORWARD { type filter hook forward priority 10; }; add chain inet firewalld late
				add rule inet firewalld filter_FORWARD ct state { established, related } accept; add rule inet firewalld filter_FORWARD iifname "eth9" accept
				add rule inet firewalld filter_FORWARD jump late; add rule inet firewalld late ip daddr 10.0.0.0/8 drop; add rule inet firewalld late reject with icmpx admin-prohibited'`, "nobody",
				"nftables table inet firewalld chain late drops mesh traffic from docker0 to docker0: reject with icmpx admin-prohibited; to let it pass: "},
			{"a table of nft's own with iptables' name", `[ $ipt = iptables-legacy ] || nft delete table ip filter
				nft 'add table ip filter; add chain ip filter forward { type filter hook forward priority 0; policy drop; }; add rule ip filter forward ct state vmap { established : accept }'`, "nobody",
				"nftables table ip filter chain forward drops mesh traffic from docker0 to docker0: policy DROP; to let it pass: "},
			{"another table that accepts", `nft 'add table inet firewalld; add chain inet firewalld filter_FORWARD { type filter hook forward priority 10; policy drop; }
				add rule inet firewalld filter_FORWARD ct state established accept; add rule inet firewalld filter_FORWARD iifname { "docker0", "eth0" } ip saddr 172.16.0.0/12 counter accept'`, container, ""},
		} {
			t.Run(ipt+" "+tt.name, func(t *testing.T) {
				l := &lab{t, network.Host}
				l.clear()
				l.sh("ipt=" + ipt + dockersRules + "\n" + tt.script)
				l.reach(wanted())
				if got := l.askFrom("c", "tcp4", "0", peerContainer); got != tt.seen {
					t.Errorf("seen as %q, want %q", got, tt.seen)
				}
				obstacles := l.obstacles(wanted())
				if !strings.HasPrefix(obstacles, tt.obstacle) || (tt.obstacle == "") != (obstacles == "") {
					t.Fatalf("obstacles:\n%s\nwant\n%s", obstacles, tt.obstacle)
				}
				if tt.obstacle == "" {
					return
				}
				_, fix, _ := strings.Cut(obstacles, "; to let it pass: ")
				l.sh(fix)
				if got := l.askFrom("c", "tcp4", "0", peerContainer); got != container {
					t.Errorf("after %s: seen as %q", fix, got)
				}
			})
		}
	}
}

// TestContainersOfOneHostStayApart: our accepts do not undo icc=false.
func TestContainersOfOneHostStayApart(t *testing.T) {
	l := build(t)
	l.sh("ipt=iptables-nft" + dockersRules + "\n$ipt -D FORWARD -i docker0 -o docker0 -j ACCEPT; $ipt -A FORWARD -i docker0 -o docker0 -j DROP")
	l.reach(wanted())
	// Routed and not bridged, so that FORWARD is sure to see it.
	l.sh(`ip addr add 172.17.42.99/32 dev lo; ip route add 172.17.42.3/32 via 172.17.43.1 dev docker0 onlink
		ip -n ` + namespaceOf("p") + ` addr add 172.17.42.3/32 dev lo; ip -n ` + namespaceOf("c") + ` route add 172.17.42.3/32 via 172.17.42.1`)
	if got := l.askFrom("c", "tcp4", "0", "172.17.42.3"); got != "nobody" {
		t.Errorf("seen as %q in spite of icc=false", got)
	}
	l.sh("iptables-nft -I FORWARD -j ACCEPT")
	if got := l.askFrom("c", "tcp4", "0", "172.17.42.3"); got != container {
		t.Errorf("seen as %q: the test proves nothing", got)
	}
}

// TestChangesOfTheFileUnderLoad: 20 of them, and not one new connection is
// lost, masqueraded within the mesh, or left unmasqueraded outside.
func TestChangesOfTheFileUnderLoad(t *testing.T) {
	l := build(t)
	l.sh("ipt=iptables-nft" + dockersRules)
	path := filepath.Join(t.TempDir(), "ip-masq-agent")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path+".new", []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
	write("nonMasqueradeCIDRs: [" + peerUnderlay + "/32]")
	file := OpenFile(path)
	want := func() Rules {
		r := meshRules()
		r.NonMasquerade = Compile(file.State().Config, r.Pool, nil)
		return r
	}
	l.sh(`nft 'add table ip gremesh; add chain ip gremesh postrouting { type nat hook postrouting priority 99; }
		add rule ip gremesh postrouting ip saddr 172.17.0.0/16 ip daddr 172.17.0.0/16 snat to ip saddr
		add rule ip gremesh postrouting ip saddr 172.17.0.0/16 ip daddr ` + peerUnderlay + ` snat to ip saddr'`) // as it was before it had a set
	follow(t, file)

	loads := make([]func() map[string]int, 3)
	for i := range loads {
		loads[i] = l.load(peerContainer, peerUnderlay, outside)
	}
	l.reach(want())
	for i := range 20 {
		cidr := fmt.Sprintf("10.%d.0.0/16", i)
		text := "nonMasqueradeCIDRs: [192.168.248.0/24, " + cidr + "]"
		switch i % 3 {
		case 1:
			text = `{"nonMasqueradeCIDRs": ["192.168.0.0/16", "` + cidr + `"], "masqLinkLocal": true}`
		case 2: // as an element of the set, and no longer by a rule
			text = fmt.Sprintf("nonMasqueradeCIDRs: [192.168.248.140/32, 10.200.0.%d/32, %s]", i, cidr)
		}
		write(text)
		becomes(t, file, text, func(s FileState) bool {
			return slices.Contains(s.Config.NonMasqueradeCIDRs, netip.MustParsePrefix(cidr))
		})
		l.reach(want())
	}
	for _, stop := range loads {
		counts := stop()
		t.Log(counts)
		good := map[string]bool{}
		for _, network := range []string{"udp4", "tcp4"} {
			good[peerContainer+" "+network+" "+container] = true
			good[peerUnderlay+" "+network+" "+container] = true
			good[outside+" "+network+" "+hostOutside] = true
		}
		for seen, n := range counts {
			if !good[seen] {
				t.Errorf("%d connections: %s", n, seen)
			}
		}
		for seen := range good {
			if counts[seen] < 20 {
				t.Errorf("only %d connections: %s", counts[seen], seen)
			}
		}
	}
}

// load begins to make connections from the container; the func that it returns
// ends that, and says what became of them.
func (l *lab) load(addrs ...string) (stop func() map[string]int) {
	l.Helper()
	cmd := l.in("c", "load", addrs...)
	in, err := cmd.StdinPipe()
	if err != nil {
		l.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		l.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		l.Fatal(err)
	}
	l.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	lines := bufio.NewReader(out)
	if _, err := lines.ReadString('\n'); err != nil {
		l.Fatal(err)
	}
	return func() map[string]int {
		l.Helper()
		_ = in.Close()
		var counts map[string]int
		if err := json.NewDecoder(lines).Decode(&counts); err != nil {
			l.Fatal(err)
		}
		return counts
	}
}
