package bridge

import (
	"net/netip"
	"strings"
	"testing"
)

// intruding returns a Kernel that watches the pool, with docker0 and br0 in place.
func intruding(t *testing.T) *Kernel {
	k := namespace(t)
	cfg := k.cfg
	cfg.Pool = want.Pool
	k = New(cfg)
	inMesh(t, k)
	sh(t, "ip tuntap add dev tun7 mode tun; ip link set tun7 up; ip address add 10.8.0.1/24 dev tun7")
	t.Cleanup(func() {
		for _, kind := range []string{"blackhole", "unreachable", "prohibit"} {
			sh(t, "ip route flush type "+kind)
		}
	})
	return k
}

func TestRoutesInsideThePoolAreSeen(t *testing.T) {
	k := intruding(t)
	listening(t, k)
	for _, tt := range []struct{ route, seen string }{
		{"172.17.43.0/25 dev tun7", "172.17.43.0/25 dev tun7 proto 3"},
		{"172.17.43.0/24 via 10.8.0.2 dev tun7 metric 9", "172.17.43.0/24 via 10.8.0.2 dev tun7 proto 3 metric 9"},
		{"blackhole 172.17.43.7/32", "blackhole 172.17.43.7/32 proto 3"},
		{"unreachable 172.17.43.0/24", "unreachable 172.17.43.0/24 proto 3"},
		{"172.16.0.0/12 dev tun7", ""},
		{"0.0.0.0/1 dev tun7", ""},
		{"172.18.0.0/24 dev tun7", ""},
		{"172.17.44.0/24 dev docker0", ""},
	} {
		observe(t, k)
		sh(t, "ip route add "+tt.route)
		var got []string
		have := observe(t, k)
		for _, r := range have.Intruders {
			got = append(got, r.String())
		}
		if strings.Join(got, "; ") != tt.seen {
			t.Errorf("%s: got %q, want %q", tt.route, got, tt.seen)
		}
		for _, o := range Overlaps(want.Pool, have.Intruders) {
			command := strings.TrimSuffix(strings.TrimPrefix(o.Remedy(), "remove the route ("), "), or choose another pool on all hosts")
			sh(t, command)
		}
		if tt.seen == "" {
			sh(t, "ip route del "+tt.route)
		}
		if left := observe(t, k).Intruders; len(left) > 0 {
			t.Errorf("%s: left %v", tt.route, left)
		}
	}
}

func TestARouteInsideThePoolWakes(t *testing.T) {
	k := intruding(t)
	listening(t, k)
	observe(t, k)
	drained(k)
	sh(t, "ip route add 172.17.43.0/25 dev tun7")
	woken(t, k, "a route inside the pool")
	if len(observe(t, k).Intruders) != 1 {
		t.Error("it is not seen")
	}
	drained(k)
	sh(t, "ip link del tun7") // takes the route without a notice of its own
	woken(t, k, "its device is gone")
	if left := observe(t, k).Intruders; len(left) > 0 {
		t.Errorf("left %v", left)
	}
}

// TestADockerNetworkInsideThePoolIsNamed makes a bridge as Docker does.
func TestADockerNetworkInsideThePoolIsNamed(t *testing.T) {
	k := intruding(t)
	sh(t, "ip link add br-0123456789ab type bridge; ip link set br-0123456789ab up; ip address add 172.17.43.1/24 dev br-0123456789ab")
	all := Overlaps(want.Pool, observe(t, k).Intruders)
	if len(all) != 1 || all[0].Network != "0123456789ab" || all[0].Route.Dst != netip.MustParsePrefix("172.17.43.0/24") {
		t.Errorf("got %+v", all)
	}
}

// drained takes a signal that nobody has taken.
func drained(k *Kernel) {
	select {
	case <-k.Changed():
	default:
	}
}
