package bench

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/gremesh/gremesh/testenv"
)

// formTime limits the time until a mesh is complete. More is an error.
const formTime = 10 * time.Minute

// former is a way to create a full mesh. once does it one time in its own lab,
// on hosts that are not in a mesh yet.
type former struct {
	name string
	once func(ctx context.Context, cfg Config, hosts int) (formation, error)
}

var (
	byAgents    = former{"gremesh", formTunnels((*testenv.Lab).StartAgents)}
	byHandHosts = former{"recipe by hand, on all hosts at once", formTunnels((*testenv.Lab).RecipeAtOnce)}
	byHand      = former{"recipe by hand, host after host", formTunnels((*testenv.Lab).Recipe)}
	byOverlay   = former{"flannel, vxlan, etcd up before", formOverlay}
)

// formation holds the times from the start until parts of a full mesh were
// ready.
type formation struct {
	present, up, pinged time.Duration // up is 0 if there is no BFD
}

// inLab creates a lab without Docker and configures its agents. It calls f with
// the lab and a watch of its tunnels.
func inLab(ctx context.Context, cfg Config, hosts int, f func(context.Context, *testenv.Lab, *watch) error) (err error) {
	l, err := testenv.New(ctx, testenv.Config{Hosts: hosts, Binary: cfg.Binary})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	if err := l.Form(nil); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, formTime, fmt.Errorf("not within %s", formTime))
	defer cancel()
	w := watchTunnels(ctx, l)
	defer func() { err = errors.Join(err, w.close()) }()
	return f(ctx, l, w)
}

// formTunnels measures a way to create Open vSwitch tunnels. Open vSwitch and
// the processes that will ping start before the clock. The pings begin when all
// ports exist, because two hosts cannot reach each other before their ports
// exist.
func formTunnels(form func(*testenv.Lab, context.Context) error) func(context.Context, Config, int) (formation, error) {
	return func(ctx context.Context, cfg Config, hosts int) (took formation, err error) {
		err = inLab(ctx, cfg, hosts, func(ctx context.Context, l *testenv.Lab, w *watch) error {
			pingers, err := pingersOf(ctx, l.Hosts())
			if err != nil {
				return err
			}
			start := time.Now()
			if err := form(l, ctx); err != nil {
				return err
			}
			ports := hosts * (hosts - 1)
			if err := w.wait(ctx, func(t testenv.Tunnels) bool { return t.Present == ports }); err != nil {
				return err
			}
			took.present = time.Since(start)
			var pings errgroup.Group
			pings.Go(func() error {
				defer func() { took.pinged = time.Since(start) }()
				return pingAll(l, pingers, w)
			})
			err = w.wait(ctx, func(t testenv.Tunnels) bool { return t.Up == ports })
			took.up = time.Since(start)
			return errors.Join(err, pings.Wait())
		})
		return took, err
	}
}

// pingersOf returns one Pinger for each host, in order.
func pingersOf(ctx context.Context, hosts []*testenv.Host) ([]*testenv.Pinger, error) {
	var all []*testenv.Pinger
	for _, h := range hosts {
		p, err := h.Pinger(ctx)
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, nil
}

// pingAll pings the docker0 of every host from every other host, all at once,
// until each has answered.
func pingAll(l *testenv.Lab, pingers []*testenv.Pinger, w *watch) error {
	var all errgroup.Group
	for i, h := range l.Hosts() {
		all.Go(func() error {
			to, err := docker0s(l, w.ports(h))
			if err != nil {
				return fmt.Errorf("%s: %w", h.Name, err)
			}
			return pingers[i].All(to)
		})
	}
	return all.Wait()
}

// docker0s returns the docker0 addresses of the other hosts, according to the
// host's ports. Each port must lead to a different subnet.
func docker0s(l *testenv.Lab, ports map[string]testenv.TunnelPort) ([]netip.Addr, error) {
	byHand := map[netip.Addr]netip.Prefix{}
	for _, h := range l.Hosts() {
		byHand[h.Addr] = h.RecipeBip().Masked()
	}
	leadsTo := map[netip.Prefix]string{}
	var all []netip.Addr
	for name, port := range ports {
		subnet := port.Subnet
		if !subnet.IsValid() {
			subnet = byHand[port.Remote]
		}
		if other, taken := leadsTo[subnet]; taken || !subnet.IsValid() {
			return nil, fmt.Errorf("port %s leads to subnet %s, and %q too", name, subnet, other)
		}
		leadsTo[subnet] = name
		all = append(all, subnet.Addr().Next())
	}
	return all, nil
}
