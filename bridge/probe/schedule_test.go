package probe

import (
	"container/heap"
	"fmt"
	"net/netip"
	"testing"
	"time"
)

func TestTheRateOfProbesIsBounded(t *testing.T) {
	for peers, want := range map[int]time.Duration{
		1: time.Second, 10: time.Second, 11: 1100 * time.Millisecond, 100: 10 * time.Second, 1000: 100 * time.Second,
	} {
		if is := interval(peers); is != want {
			t.Errorf("%d peers: %s, want %s", peers, is, want)
		}
	}
}

// Peers have neighbouring subnets as a rule.
func TestProbesAreSpread(t *testing.T) {
	for _, bits := range []int{20, 24, 26} {
		for _, n := range []int{2, 10, 100, 1000} {
			t.Run(fmt.Sprintf("%d peers with /%d", n, bits), func(t *testing.T) {
				epoch := time.Unix(1000, 0)
				every := interval(n)
				var q queue
				for i := range n {
					at := netip.AddrFrom4([4]byte{172, byte(16 + i<<(32-bits)>>16), byte(i << (32 - bits) >> 8), byte(i<<(32-bits)) + 1})
					heap.Push(&q, &peer{bip: at, due: epoch})
				}
				last := make(map[netip.Addr]time.Time)
				slots := make(map[int]int) // of a hundredth of the interval, or a tick
				width := max(every/100, pulse(n))
				now := epoch
				for now.Sub(epoch) < 5*every {
					one := q[0]
					now = one.due
					if was, known := last[one.bip]; known && now.Sub(epoch) > 2*every && now.Sub(was) != every {
						t.Fatalf("%s is probed after %s, want %s", one.bip, now.Sub(was), every)
					}
					last[one.bip] = now
					if now.Sub(epoch) > 2*every {
						slots[int(now.Sub(epoch)/width)]++
					}
					one.begin(now)
					one.hear(now, everywhere, 1)
					one.due = next(epoch, now, one.bip, n, &one.track)
					heap.Fix(&q, 0)
				}
				most := 0
				for _, count := range slots {
					most = max(most, count)
				}
				if mean := float64(n) * float64(width) / float64(every); float64(most) > 2*mean+2 {
					t.Errorf("%d probes in %s, %.1f on the average", most, width, mean)
				}
			})
		}
	}
}

func TestALossIsFollowedUpAtOnce(t *testing.T) {
	epoch, to := time.Unix(1000, 0), netip.MustParseAddr("172.17.43.1")
	var one track
	now := epoch
	one.begin(now)
	one.hear(now, everywhere, 1)
	began := now.Add(time.Minute)
	now = began
	for one.path.State != Down {
		one.begin(now)
		one.expire(now.Add(patience))
		if one.path.State != Down {
			now = next(epoch, now, to, 1000, &one)
		}
	}
	if took := now.Add(patience).Sub(began); took > 3*time.Second {
		t.Errorf("%s from the first loss until the path is down, with 1000 peers", took)
	}
	if again := next(epoch, now, to, 1000, &one).Sub(now); again > 2*downMost {
		t.Errorf("a path that is down is tried again after %s", again)
	}
}
