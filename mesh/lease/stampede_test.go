package lease

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"testing"
	"time"
)

// stampede starts a number of hosts in the same instant, one of which founds
// the mesh, and returns when all hold a lease.
func stampede(seed uint64, hosts int) (*sim, error) {
	// Four times as many subnets as hosts: /24s of a pool that fits.
	bits := 24
	for n := 4 * hosts; n > 1; n /= 2 {
		bits--
	}
	s := newSim(seed, hosts, Pool{Prefix: netip.PrefixFrom(netip.MustParseAddr("10.0.0.0"), bits).Masked(), Bits: 24})
	s.spread = min(hosts, 64)
	for _, h := range s.hosts {
		h.start()
	}
	s.run(10*time.Second, s.settled)
	if s.wrong == nil && !s.settled() {
		s.breaks("not settled\n%s", s.report())
	}
	return s, s.wrong
}

// latencies are the times from the start to the lease, sorted.
func (s *sim) latencies() []time.Duration {
	var all []time.Duration
	for _, h := range s.hosts {
		all = append(all, h.done)
	}
	slices.Sort(all)
	return all
}

func (s *sim) summary() string {
	l := s.latencies()
	n := len(l)
	return fmt.Sprintf("%4d hosts at once: claims and answers a host %7.1f; lease after %s (median), %s (p99), %s (last)",
		n, float64(s.messages)/float64(n), l[n/2].Round(time.Microsecond), l[n*99/100].Round(time.Microsecond), l[n-1].Round(time.Microsecond))
}

func TestAThousandHostsAtOnceSettleWithinTenSecondsWithoutADuplicate(t *testing.T) {
	sizes := []int{10, 100, 1000}
	if raceDetector {
		sizes = sizes[:2]
	}
	for _, n := range sizes {
		began := time.Now()
		s, err := stampede(1, n)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s; simulated in %s", s.summary(), time.Since(began).Round(time.Millisecond))
	}
}

// BenchmarkStampede is how long a host waits for its lease when all start in
// the same instant, and what it sends, in simulated time over links of a
// random delay. Each size simulates a thousand hosts in all.
func BenchmarkStampede(b *testing.B) {
	for _, n := range []int{10, 100, 1000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			var all []time.Duration
			var messages int
			for b.Loop() {
				for seed := range uint64(1000 / n) {
					s, err := stampede(seed+1, n)
					if err != nil {
						b.Fatal(err)
					}
					all = append(all, s.latencies()...)
					messages += s.messages
				}
			}
			slices.Sort(all)
			ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
			b.ReportMetric(ms(all[len(all)/2]), "p50-ms")
			b.ReportMetric(ms(all[len(all)*99/100]), "p99-ms")
			b.ReportMetric(float64(messages)/float64(len(all)), "msgs/claim")
			b.ReportMetric(0, "ns/op") // real time says nothing here
		})
	}
}
