package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/gremesh/gremesh/bridge"
	"github.com/gremesh/gremesh/bridge/pathmtu"
	"github.com/gremesh/gremesh/bridge/probe"
	"github.com/gremesh/gremesh/bridge/procs"
	"github.com/gremesh/gremesh/cmd/internal/machine"
	"github.com/gremesh/gremesh/mesh"
	"github.com/gremesh/gremesh/mesh/gossip"
	"github.com/gremesh/gremesh/mesh/lease"
)

const (
	// After readyAfter the agent reports to systemd that it is ready, even if
	// no seed has answered. Until then systemd does not start units such as
	// Docker that wait for this unit.
	readyAfter   = 10 * time.Second
	leaveTimeout = 150 * time.Second // longer than a Docker restart that is in progress
)

// agent is the set of components of this host, connected for one underlay
// address.
type agent struct {
	machine.Components
	at      machine.Underlay
	log     *slog.Logger
	began   time.Time
	node    *gossip.Node
	paths   *pathmtu.Prober
	probes  *probe.Prober
	loop    *mesh.Loop
	control http.Handler
	ready   func() // tells systemd that the agent is ready
	memory  *mesh.Memory

	life     context.Context // ends with run; requests to the agent end with it
	end      context.CancelFunc
	loopLife context.Context // ends with life, or earlier by stopLoop
	stopLoop context.CancelFunc
	loopDone chan struct{}
	ending   atomic.Bool   // the agent leaves the mesh, or a successor replaces it
	leaving  atomic.Bool   // the agent leaves the mesh
	left     chan struct{} // closed when the host has left the mesh, or has failed to leave
	leaveErr error         // the error of leaving; valid once left is closed
	released bool          // the host gave up its subnet; valid once left is closed
}

// newAgent creates the agent and connects its components. It starts nothing.
func newAgent(ctx context.Context, h *host, at machine.Underlay) (*agent, error) {
	cfg, watcher, log := h.cfg, h.watcher, h.log
	a := &agent{
		Components: h.components(cfg, at, log), at: at, log: log, began: time.Now(), ready: h.ready, memory: h.memory,
		loopDone: make(chan struct{}), left: make(chan struct{}),
	}
	var err error
	if a.node, err = gossip.New(a.GossipConfig(ctx, cfg, at, log)); err != nil {
		return nil, err
	}
	a.paths = pathmtu.New(pathmtu.Config{Source: at.Addr, Peers: a.peers, Route: wayTo, Tell: a.tellPaths, Forget: pathmtu.Forget, Log: log})
	a.probes = probe.New(probe.Config{Bridge: cfg.Docker.Bridge, Port: cfg.OVS.Bridge, Log: log})
	a.loop = mesh.NewLoop(mesh.LoopConfig{
		Config: a.Mesh, Version: h.version,
		Membership: membershipWithUnderlay{a.node, watcher, a.paths}, Switch: a.OVS, Kernel: a.Kernel, Docker: a.Docker, NAT: a.NAT, Prober: a.probes, Masquerade: a.Masquerade,
		History: h.history, Networks: a.Docker.Networks, Ages: procs.Ages, DockerRan: machine.DockerRan(cfg.StateDir), Memory: h.memory,
		Log: log, Ready: a.ready,
	})
	a.node.AnswerWith(a.loop.Row)
	a.node.CarriesWith(func(id lease.ID) bool { return a.loop.Carries(id.String()) })
	a.control = mesh.Control{Loop: a.loop, Leases: a.node, Survey: a.node, Settings: a.node, Leave: a.leave}.Handler()
	a.life, a.end = context.WithCancel(context.WithoutCancel(ctx))
	a.loopLife, a.stopLoop = context.WithCancel(a.life) // not created in run, because the agent may be asked to leave before it runs
	log.Info("this host", "version", h.version, "host", a.node.ID(), "name", cfg.Node.Name, "underlay", at.Addr, "device", at.Link, "mtu", at.MTU)
	return a, nil
}

// run operates this host until ctx ends, the host leaves the mesh, or its
// underlay changes. In the last case it returns the new underlay. run itself
// does not change tunnels and routes when it ends; leave removes them.
func (a *agent) run(ctx context.Context, watcher *machine.UnderlayWatcher) (next machine.Underlay, err error) {
	defer a.end()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	group, ctx := errgroup.WithContext(ctx)
	context.AfterFunc(ctx, a.end) // at the end of ctx, or at the first error

	group.Go(func() error { return a.node.Run(ctx) })
	group.Go(func() error { return a.OVS.Run(ctx) })
	group.Go(func() error { return a.OVS.AccelerateBFD(ctx) })
	group.Go(func() error { return a.Kernel.Run(ctx) })
	group.Go(func() error { return a.Docker.Run(ctx) })
	group.Go(func() error { return a.paths.Run(ctx) })
	group.Go(func() error { return a.probes.Run(ctx) })
	group.Go(func() error { return bridge.WatchNetwork(ctx, a.paths.Rerouted) })
	group.Go(func() error { return a.NAT.Run(ctx) })
	group.Go(func() error { return a.Masquerade.Run(ctx) })
	group.Go(func() error { return a.runEngine(a.loopLife) })
	group.Go(func() error {
		now, moved := watcher.Moved(ctx, a.at)
		if moved && a.ending.CompareAndSwap(false, true) {
			next = now
			stop()
		}
		return nil
	})
	group.Go(func() error {
		select {
		case <-ctx.Done():
			return nil
		case <-a.left:
			stop()
			return a.leaveErr
		}
	})
	err = group.Wait()
	return next, err
}

// runEngine runs the loop. It first waits until this host has joined others or
// continues without them. If there are peers, it also waits for the first path
// MTU, but for at most pathsAfter.
func (a *agent) runEngine(ctx context.Context) error {
	defer close(a.loopDone)
	late := time.AfterFunc(readyAfter, a.ready)
	defer late.Stop()
	select {
	case <-a.node.Ready():
	case <-ctx.Done():
		return nil
	}
	if len(a.peers()) > 0 { // Docker starts and restarts with the MTU of these paths
		select {
		case <-a.paths.First():
		case <-time.After(pathsAfter):
		case <-ctx.Done():
			return nil
		}
	}
	return a.loop.Run(ctx)
}

var errKeepsSubnet = errors.New("this host has left the mesh just now and keeps the right to its subnet; " +
	"to give the subnet up, start the agent (systemctl start gremesh) and run `gremesh leave --release`")

// leave takes this host out of the mesh. It removes everything that gremesh
// created on this host. It then tells the peers, so that they delete their
// tunnel ports at once.
//
// Once leave has stopped the loop, the agent ends even if leave fails, because
// the loop cannot be started again. If the caller disconnects, leave continues.
// It takes at most leaveTimeout.
func (a *agent) leave(ctx context.Context, release bool) (err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveTimeout)
	defer cancel()
	begins := a.ending.CompareAndSwap(false, true)
	if begins {
		a.leaving.Store(true)
	}
	switch {
	case begins:
	case a.leaving.Load(): // this is the second request
		select {
		case <-a.left:
			if release && !a.released && a.leaveErr == nil {
				return errKeepsSubnet
			}
			return a.leaveErr
		case <-ctx.Done():
			return ctx.Err()
		}
	default:
		return errors.New("this host is taking another underlay address: try again")
	}
	defer func() {
		a.leaveErr, a.released = err, release
		close(a.left)
	}()
	a.stopLoop()
	select {
	case <-a.loopDone:
	case <-ctx.Done():
		return fmt.Errorf("the last pass has not ended within %s: %w; the agent stops, and the peers see this host as failed", leaveTimeout, ctx.Err())
	}
	if err := a.memory.Wait(ctx); err != nil {
		return fmt.Errorf("%w; the agent stops, and the peers see this host as failed", err)
	}
	if err := a.loop.Teardown(ctx); err != nil {
		return fmt.Errorf("%w; the agent stops, and the peers see this host as failed", err)
	}
	if err := a.node.Leave(ctx, release); err != nil {
		return fmt.Errorf("leave the mesh: %w", err)
	}
	a.log.Info("left the mesh", "released", release)
	return nil
}
