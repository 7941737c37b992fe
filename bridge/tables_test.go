package bridge

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// listening has a Kernel's tables kept by notices until the test ends.
func listening(t *testing.T, k *Kernel) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- k.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	woken(t, k, "start")
}

func observe(t *testing.T, k *Kernel) State {
	t.Helper()
	have, err := k.Observe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return have
}

// Whatever is done to the tables, and whoever does it, what is kept of them by
// notices is what the kernel lists.
func TestWhatNoticesKeepIsWhatTheKernelHas(t *testing.T) {
	k := namespace(t)
	sh(t, "tap br0"+uplink)
	reach(t, k, peered)
	t.Cleanup(func() { sh(t, "ip route flush type blackhole") })
	listening(t, k)
	const seed = 42
	random := rand.New(rand.NewPCG(seed, seed))
	devices := []string{"docker0", "docker0", "eth1"}
	for i := range 300 {
		n, dev := random.IntN(4), devices[random.IntN(len(devices))]
		route := fmt.Sprintf("172.17.%d.0/24 dev %s proto %d metric %d", 43+n, dev, []int{77, 4}[random.IntN(2)], random.IntN(2))
		if random.IntN(2) == 0 {
			route = fmt.Sprintf("172.17.%d.0/24 via 172.17.%d.1 dev %s onlink proto 77", 43+n, 43+random.IntN(2), dev)
		}
		ip, mac := fmt.Sprintf("172.17.%d.1", 43+n), fmt.Sprintf("02:42:ac:11:%02x:%02x", 43+n, 1+random.IntN(2))
		script := []string{
			"ip route add " + route, "ip route append " + route, "ip route replace " + route, "ip route del " + route,
			"ip route replace blackhole " + strings.Fields(route)[0], "ip route add tos 4 " + route, "ip route replace tos 4 " + route,
			"ip neighbour replace " + ip + " lladdr " + mac + " dev docker0 nud permanent",
			"ip neighbour replace " + ip + " lladdr " + mac + " dev docker0 nud reachable",
			"ip neighbour del " + ip + " dev docker0", "ip neighbour flush dev docker0 nud permanent",
			"bridge fdb replace " + mac + " dev br0 master static", "bridge fdb replace " + mac + " dev br0 master dynamic",
			"bridge fdb replace " + mac + " dev br0 master permanent", "bridge fdb replace " + mac + " dev br0 master static vlan 1",
			"bridge fdb del " + mac + " dev br0 master", "ip link set docker0 down; ip link set docker0 up",
			"ip link set br0 nomaster", "ip link set br0 master docker0", "ip link set eth1 down; ip link set eth1 up",
			"ip addr add 172.17.99.1/24 dev docker0; ip addr del 172.17.99.1/24 dev docker0", "apply",
		}[random.IntN(22)]
		if i%60 == 59 {
			script = "ip link del docker0; ip link add docker0 type bridge; ip link set docker0 up"
		}
		if script == "apply" {
			_ = k.Apply(t.Context(), diff(t, k, peered)) // a route of others may be in the way
		} else {
			sh(t, "("+script+") 2>/dev/null || true") // many can't be done
		}
		kept, listed := observe(t, k), observe(t, New(k.cfg))
		if !same(kept.Routes, listed.Routes) || !same(kept.Neighbours, listed.Neighbours) || !same(kept.FDB, listed.FDB) {
			t.Fatalf("seed %d, after %d, %s\nkept: %v\n%v\n%v\nthe kernel has: %v\n%v\n%v", seed, i, script,
				kept.Routes, kept.Neighbours, kept.FDB, listed.Routes, listed.Neighbours, listed.FDB)
		}
	}
}

func same[T any](a, b []T) bool { return len(a) == 0 && len(b) == 0 || reflect.DeepEqual(a, b) }

func TestWhatThisHostItselfChangesWakesNobody(t *testing.T) {
	k := namespace(t)
	sh(t, "tap br0"+uplink)
	reach(t, k, want)
	listening(t, k)
	reach(t, k, want)
	quiet(t, k, lookEvery+200*time.Millisecond)

	more := want
	more.Peers = peered.Peers
	reach(t, k, more)
	more.Peers = more.Peers[:1]
	reach(t, k, more)
	quietUntil(t, k, "ip route del 172.17.43.0/24")
	have := observe(t, k)
	reach(t, k, more)
	// And what was handed out stays as it was.
	if slices.ContainsFunc(have.Routes, func(r Route) bool { return r.Dst == peered.Peers[0].Bip.Masked() }) {
		t.Error("a State has changed")
	}
	for _, script := range []string{
		"ip route replace 172.17.43.0/24 via 172.17.44.1 dev docker0 onlink proto 77",
		"ip neighbour replace 172.17.43.1 lladdr 02:42:ac:11:2b:01 dev docker0 nud reachable",
		"bridge fdb del 02:42:ac:11:2b:01 dev br0 master",
	} {
		quietUntil(t, k, script)
		reach(t, k, more)
		quiet(t, k, 50*time.Millisecond)
	}
}

// Without what is settled Diff finds the same.
func TestWhatIsSettledIsOfNoAccount(t *testing.T) {
	for seed := range uint64(2000) {
		random := rand.New(rand.NewPCG(seed, seed))
		want, have := want, clean()
		have.OVSPort.Exists = true
		some := func() bool { return random.IntN(10) > 0 }
		for i := range random.IntN(8) {
			bip := netip.PrefixFrom(netip.AddrFrom4([4]byte{172, 17, byte(i * 10), 1}), 24)
			p := Peer{Bip: bip}
			if !some() {
				p.Via, p.Link = netip.MustParseAddr("192.0.2.3"), "eth1"
			}
			if some() {
				want.Peers = append(want.Peers, p)
			}
			r := want.routeTo(p)
			if !some() {
				r.Metric = 3
			}
			if !some() {
				r.Protocol = 4
			}
			for range random.IntN(2) + random.IntN(2) {
				have.Routes = append(have.Routes, r)
			}
			mac := MAC(bip.Addr())
			if !some() {
				mac = net.HardwareAddr{2, 0x42, 9, 9, 9, byte(i)}
			}
			if some() {
				have.Neighbours = append(have.Neighbours, Neighbour{bip.Addr(), mac})
			}
			if some() {
				have.FDB = append(have.FDB, mac)
			}
		}
		slices.SortFunc(have.Routes, compareRoutes)
		slices.SortFunc(have.FDB, slices.Compare[net.HardwareAddr])
		// In disorder nothing counts as settled.
		mixed := have
		mixed.Routes = append([]Route{route("255.0.0.0/8", "", "docker0", 4, 0)}, have.Routes...)
		mixed.Neighbours = append([]Neighbour{{netip.MustParseAddr("255.0.0.1"), nil}}, have.Neighbours...)
		mixed.FDB = append([]net.HardwareAddr{{255, 0, 0, 0, 0, 1}}, have.FDB...)
		if got, should := render(Diff(want, have)), render(Diff(want, mixed)); got != should {
			t.Fatalf("seed %d: got\n%s\nshould be\n%s", seed, got, should)
		}
	}
}
