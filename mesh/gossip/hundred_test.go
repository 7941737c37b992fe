package gossip

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gremesh/gremesh/mesh"
)

// TestAHundredHostsKeepDistinctSubnetsThroughLossAndPartition runs the whole
// package, memberlist included, on a simulated network and clock: 100 hosts
// start in the same instant, are partitioned, some crash and come back, and
// the partition heals. At no moment do two of them hold one subnet.
func TestAHundredHostsKeepDistinctSubnetsThroughLossAndPartition(t *testing.T) {
	hosts := 100
	if raceDetector {
		hosts = 20 // the rest runs without it
	}
	dir, err := os.MkdirTemp("/dev/shm", "gremesh-test-") // every promise is synced, which takes long on a disk
	if err != nil {
		dir = t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	synctest.Test(t, func(t *testing.T) {
		m := &simMesh{t: t, net: newSimNet(0.02), nodes: make([]*Node, hosts), stop: make([]func(), hosts), dir: dir}
		began := time.Now()
		for i := range hosts {
			m.start(i)
		}
		m.until("all hold a lease", 30*time.Second, func() bool { return m.holders() == hosts })
		t.Logf("%d hosts hold distinct leases %s after the start", hosts, time.Since(began).Round(time.Millisecond))
		m.until("all know all", 60*time.Second, func() bool { return m.whole(hosts) })
		before := m.subnets()

		m.net.partition(func(at netip.AddrPort) int { return int(at.Addr().As4()[3]) % 3 / 2 })
		for i := range 5 {
			m.stop[i*3]()
		}
		m.until("gossip has noticed", 60*time.Second, func() bool { return m.alive(1) < hosts*3/4 })
		for i := range 5 {
			m.start(i * 3)
		}
		m.net.partition(func(netip.AddrPort) int { return 0 })
		healed := time.Now()
		m.until("all know all again", 60*time.Second, func() bool { return m.whole(hosts) })
		t.Logf("whole %s after the end of the partition", time.Since(healed).Round(time.Millisecond))
		for i, subnet := range m.subnets() {
			if subnet != before[i] {
				t.Errorf("h%d had %s and has %s", i, before[i], subnet)
			}
		}
		for _, stop := range m.stop {
			stop()
		}
		time.Sleep(time.Minute) // of the simulated clock: memberlist's last probes end
	})
}

type simMesh struct {
	t     *testing.T
	net   *simNet
	nodes []*Node
	stop  []func()
	dir   string
}

func simAddress(i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 7946)
}

func (m *simMesh) start(i int) {
	cfg := Config{
		Name: fmt.Sprintf("h%d", i), Underlay: simAddress(i), Bootstrap: i == 0, Settings: testSettings,
		Dir: filepath.Join(m.dir, fmt.Sprint(i)), Log: newLog(),
	}
	if i > 0 {
		cfg.Seeds = []string{simAddress(0).String()}
	}
	node, err := New(cfg)
	if err != nil {
		m.t.Fatal(err)
	}
	node.wire = m.net.plug(cfg.Underlay)
	ctx, cancel := context.WithCancel(m.t.Context())
	done := make(chan error, 1)
	go func() { done <- node.Run(ctx) }()
	m.nodes[i] = node
	m.stop[i] = func() {
		cancel()
		if err := <-done; err != nil {
			m.t.Errorf("h%d: %v", i, err)
		}
	}
}

// until lets simulated time pass, and looks every 10 ms that no two hosts hold
// one subnet.
func (m *simMesh) until(what string, limit time.Duration, ok func() bool) {
	m.t.Helper()
	for deadline := time.Now().Add(limit); !ok(); time.Sleep(10 * time.Millisecond) {
		holds := make(map[netip.Prefix]int)
		for i, subnet := range m.subnets() {
			if other, taken := holds[subnet]; taken && subnet.IsValid() {
				m.t.Fatalf("h%d and h%d both hold %s", other, i, subnet)
			}
			holds[subnet] = i
		}
		if time.Now().After(deadline) {
			for i := range min(3, len(m.nodes)) {
				m.t.Logf("h%d: %+v", i, m.nodes[i].View().Waiting)
			}
			m.t.Fatalf("not within %s: %s (%d hold a lease, h1 finds %d alive)", limit, what, m.holders(), m.alive(1))
		}
	}
}

func (m *simMesh) subnets() []netip.Prefix {
	var all []netip.Prefix
	for _, n := range m.nodes {
		all = append(all, n.View().Self.Subnet)
	}
	return all
}

func (m *simMesh) holders() (n int) {
	for _, subnet := range m.subnets() {
		if subnet.IsValid() {
			n++
		}
	}
	return n
}

func (m *simMesh) alive(i int) (n int) {
	for _, p := range m.nodes[i].View().Peers {
		if p.Liveness == mesh.Alive && p.Subnet.IsValid() {
			n++
		}
	}
	return n
}

func (m *simMesh) whole(hosts int) bool {
	for i := range m.nodes {
		if m.alive(i) != hosts-1 {
			return false
		}
	}
	return true
}
