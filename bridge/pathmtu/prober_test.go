package pathmtu

import (
	"context"
	"log/slog"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// net is an underlay of which each peer takes so much.
type fakeNet struct {
	mu    sync.Mutex
	takes map[netip.Addr]int
	asked int
	told  map[netip.Addr]Path
	tells int

	passes map[netip.Addr]int // as the kernel is told
}

func (f *fakeNet) ask(_ context.Context, to netip.Addr, size int) (Answer, error) {
	f.mu.Lock()
	takes := f.takes[to]
	f.asked++
	f.mu.Unlock()
	if size > takes {
		time.Sleep(answersWithin) // the fake clock's
		return Answer{}, nil
	}
	return Answer{Passed: true}, nil
}

func (f *fakeNet) set(to netip.Addr, takes int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.takes[to] = takes
}

func (f *fakeNet) is(t *testing.T, to netip.Addr, mtu int) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.told[to].MTU != mtu {
		t.Errorf("the path to %s is %+v, want %d", to, f.told[to], mtu)
	}
}

// measured runs test beside a Prober of that net, in which time is free.
func measured(t *testing.T, f *fakeNet, test func(p *Prober, words chan<- mtuHint)) {
	f.passes = make(map[netip.Addr]int)
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		p := New(Config{
			Peers: func() (all []netip.Addr) {
				f.mu.Lock()
				defer f.mu.Unlock()
				for to := range f.takes {
					all = append(all, to)
				}
				return all
			},
			Route: func(netip.Addr) (Route, error) { return Route{Link: "eth0", MTU: 1500}, nil },
			Tell: func(paths map[netip.Addr]Path) {
				f.mu.Lock()
				defer f.mu.Unlock()
				f.told = paths
				f.tells++
			},
			Forget: func(to netip.Addr, mtu int) error {
				f.mu.Lock()
				defer f.mu.Unlock()
				f.passes[to] = mtu
				return nil
			},
			Log: slog.New(slog.DiscardHandler),
		})
		words, done := make(chan mtuHint), make(chan struct{})
		go func() {
			defer close(done)
			p.measure(ctx, f.ask, words)
		}()
		test(p, words)
		cancel()
		<-done
	})
}

func TestProber(t *testing.T) {
	a, b := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")
	f := &fakeNet{takes: map[netip.Addr]int{a: 1500, b: 1400}}
	measured(t, f, func(p *Prober, words chan<- mtuHint) {
		<-p.First()
		f.is(t, a, 1500)
		f.is(t, b, 1400)
		tells := f.tells

		time.Sleep(time.Hour)
		if f.tells != tells {
			t.Error("what has not changed was told")
		}
		f.set(b, 1500)
		time.Sleep(roundEvery + roundEvery/5 + confirmAfter + 10*time.Second)
		f.is(t, b, 1500)
		if f.passes[b] != 1500 {
			t.Errorf("the kernel is told that %d bytes pass", f.passes[b])
		}

		f.set(a, 1300) // and a router says so, of a tunnel's packet
		words <- mtuHint{a, 1300}
		time.Sleep(toldAtMost + 15*time.Second) // a round may have begun just before
		f.is(t, a, 1300)

		f.set(a, 0) // it stops answering
		time.Sleep(time.Hour)
		f.is(t, a, 1300)
	})
}

func TestANewPeerIsMeasuredSoon(t *testing.T) {
	a, b := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")
	f := &fakeNet{takes: map[netip.Addr]int{a: 1500}}
	measured(t, f, func(p *Prober, _ chan<- mtuHint) {
		<-p.First()
		time.Sleep(time.Minute)
		f.set(b, 1500)
		for range 4 { // that others join meanwhile does not put it off
			p.PeersChanged()
			time.Sleep(lookNew / 2)
		}
		f.is(t, b, 1500)
	})
}

func TestAThousandPeersAreAskedTwentyTimesASecond(t *testing.T) {
	f := &fakeNet{takes: map[netip.Addr]int{}}
	for i := range 1000 {
		f.takes[netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})] = 1500
	}
	measured(t, f, func(p *Prober, _ chan<- mtuHint) {
		began := time.Now()
		<-p.First()
		if took := time.Since(began); took < 48*time.Second || took > 55*time.Second {
			t.Errorf("a first round takes %s", took)
		}
	})
}
