package testenv_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/gremesh/gremesh/testenv"
)

func TestRecipeJoinsHosts(t *testing.T) {
	t.Parallel()
	l := testenv.Start(t, testenv.Config{Hosts: 3})
	must(t, l.Recipe(t.Context()))
	testenv.Eventually(t, 20*time.Second, func() error {
		n, err := l.Tunnels(t.Context())
		if want := (testenv.Tunnels{Present: 6, Up: 6}); err == nil && n != want {
			err = fmt.Errorf("tunnels %+v, want %+v", n, want)
		}
		return err
	})
	eachPair(t, l, func(from, to *testenv.Host) error {
		return pings(from, "", to.RecipeBip().Addr())
	})
}

func TestRecipeJoinsContainersOfRealDockers(t *testing.T) {
	t.Parallel()
	l := testenv.Start(t, testenv.Config{Hosts: 3, Docker: true})
	ctx := t.Context()
	must(t, l.Recipe(ctx))
	containers := map[*testenv.Host]netip.Addr{}
	for _, h := range l.Hosts() {
		addr, err := h.RunContainer(ctx, "c-"+h.Name)
		must(t, err)
		if !h.RecipeBip().Contains(addr) {
			t.Errorf("the container on %s has %s, not of %s", h.Name, addr, h.RecipeBip().Masked())
		}
		containers[h] = addr
	}
	eachPair(t, l, func(from, to *testenv.Host) error {
		return errors.Join(
			pings(from, "c-"+from.Name, containers[to]),
			pings(from, "", containers[to]))
	})
	// The container's own ping, as a user types it.
	_, err := l.Host(1).Exec(ctx, "docker", "exec", "c-h1", "ping", "-c1", "-W5", containers[l.Host(3)].String())
	must(t, err)
}

func pings(from *testenv.Host, container string, to netip.Addr) error {
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	defer cancel()
	return testenv.Until(ctx, func() error { return from.Ping(ctx, container, to, 0) })
}

func TestRecipeAtOnceAnswersPingersAndIsWatched(t *testing.T) {
	t.Parallel()
	l := testenv.Start(t, testenv.Config{Hosts: 2})
	ctx := t.Context()
	pingers := map[*testenv.Host]*testenv.Pinger{}
	for _, h := range l.Hosts() {
		p, err := h.Pinger(ctx)
		must(t, err)
		pingers[h] = p
	}
	must(t, l.RecipeAtOnce(ctx))
	watching, stop := context.WithTimeoutCause(ctx, 20*time.Second, errors.New("gre43 is not up"))
	defer stop()
	must(t, l.Host(1).WatchTunnels(watching, func(ports map[string]testenv.TunnelPort) {
		if len(ports) == 1 && ports["gre43"] == (testenv.TunnelPort{Present: true, Up: true, Remote: l.Host(2).Addr}) {
			stop()
		}
	}))
	if cause := context.Cause(watching); !errors.Is(cause, context.Canceled) {
		t.Error(cause)
	}
	must(t, pingers[l.Host(1)].All([]netip.Addr{l.Host(2).RecipeBip().Addr()}))
	must(t, pingers[l.Host(2)].Close()) // it was not needed
	must(t, l.Host(1).RecipeNoPort(ctx, l.Host(2)))
}
