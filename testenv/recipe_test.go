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
