package main

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
	"github.com/gremesh/gremesh/bridge/process"
	"github.com/gremesh/gremesh/mesh"
	"github.com/gremesh/gremesh/mesh/gossip"
	"github.com/gremesh/gremesh/mesh/lease"
)

const (
	// What waits for this unit, Docker among it, starts after this time even
	// though no seed has answered.
	readyAfter   = 10 * time.Second
	leaveTimeout = 150 * time.Second // more than a restart of Docker that is under way
)

// agent is this host's parts, wired together for one underlay address.
type agent struct {
	parts
	at      underlay
	log     *slog.Logger
	began   time.Time
	node    *gossip.Node
	paths   *pathmtu.Prober
	probes  *probe.Prober
	loop    *mesh.Loop
	control http.Handler
	ready   func() // tells systemd
	memory  *mesh.Memory

	life     context.Context // ends with run, and with it what is asked of the agent
	end      context.CancelFunc
	loopLife context.Context // ends with life, or earlier by stopLoop
	stopLoop context.CancelFunc
	loopDone chan struct{}
	ending   atomic.Bool   // leaves, or gives way to its successor
	leaving  atomic.Bool   // leaves the mesh
	left     chan struct{} // closed when the host has left the mesh, or failed to
	leaveErr error         // why it failed to; valid once left is closed
	released bool          // it gave up its subnet with that; likewise
}

// newAgent starts nothing.
func newAgent(ctx context.Context, h *host, at underlay) (*agent, error) {
	cfg, look, log := h.cfg, h.look, h.log
	a := &agent{
		parts: newParts(cfg, at, log), at: at, log: log, began: time.Now(), ready: h.ready, memory: h.memory,
		loopDone: make(chan struct{}), left: make(chan struct{}),
	}
	var err error
	if a.node, err = gossip.New(a.gossip(ctx, cfg, at, log)); err != nil {
		return nil, err
	}
	a.paths = pathmtu.New(pathmtu.Config{Source: at.addr, Peers: a.peers, Route: wayTo, Tell: a.tellPaths, Forget: pathmtu.Forget, Log: log})
	a.probes = probe.New(probe.Config{Bridge: cfg.Docker.Bridge, Port: cfg.OVS.Bridge, Log: log})
	a.loop = mesh.NewLoop(mesh.LoopConfig{
		Config: a.config, Version: buildVersion(),
		Membership: located{a.node, look, a.paths}, Switch: a.ovs, Kernel: a.kernel, Docker: a.docker, NAT: a.nat, Prober: a.probes, Masquerade: a.masq,
		History: h.history, Networks: a.docker.Networks, Ages: process.Ages, DockerRan: dockerRan(cfg.StateDir), Memory: h.memory,
		Log: log, Ready: a.ready,
	})
	a.node.AnswerWith(a.loop.Row)
	a.node.CarriesWith(func(id lease.ID) bool { return a.loop.Carries(id.String()) })
	a.control = mesh.Control{Loop: a.loop, Leases: a.node, Survey: a.node, Settings: a.node, Leave: a.leave}.Handler()
	a.life, a.end = context.WithCancel(context.WithoutCancel(ctx))
	a.loopLife, a.stopLoop = context.WithCancel(a.life) // it may be asked to leave before it runs
	log.Info("this host", "version", buildVersion(), "host", a.node.ID(), "name", cfg.Node.Name, "underlay", at.addr, "device", at.link, "mtu", at.mtu)
	return a, nil
}

// run keeps this host until ctx ends, it leaves the mesh, or it has another
// underlay, which it then returns. Tunnels and routes stay as they are.
func (a *agent) run(ctx context.Context, look *lookout) (next underlay, err error) {
	defer a.end()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	group, ctx := errgroup.WithContext(ctx)
	context.AfterFunc(ctx, a.end) // at the first error

	group.Go(func() error { return a.node.Run(ctx) })
	group.Go(func() error { return a.ovs.Run(ctx) })
	group.Go(func() error { return a.ovs.Hurry(ctx) })
	group.Go(func() error { return a.kernel.Run(ctx) })
	group.Go(func() error { return a.docker.Run(ctx) })
	group.Go(func() error { return a.paths.Run(ctx) })
	group.Go(func() error { return a.probes.Run(ctx) })
	group.Go(func() error { return bridge.Notices(ctx, a.paths.Rerouted) })
	group.Go(func() error { return a.nat.Run(ctx) })
	group.Go(func() error { return a.masq.Run(ctx) })
	group.Go(func() error { return a.keep(a.loopLife) })
	group.Go(func() error {
		now, moved := look.moved(ctx, a.at)
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

// keep runs the loop, once this host has met the others or has reason to go on
// without.
func (a *agent) keep(ctx context.Context) error {
	defer close(a.loopDone)
	late := time.AfterFunc(readyAfter, a.ready)
	defer late.Stop()
	select {
	case <-a.node.Ready():
	case <-ctx.Done():
		return nil
	}
	if len(a.peers()) > 0 { // Docker is started, and restarted, with the MTU
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

// leave takes this host out of the mesh: it takes away what gremesh made here
// and tells the peers, so that the peers drop their ports at once. The agent ends
// with it, in any case: having stopped the loop there is no way back. Whoever
// asked may go away meanwhile.
func (a *agent) leave(ctx context.Context, release bool) (err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveTimeout)
	defer cancel()
	if !a.leaving.CompareAndSwap(false, true) { // asked a second time
		select {
		case <-a.left:
			if release && !a.released && a.leaveErr == nil {
				return errKeepsSubnet
			}
			return a.leaveErr
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if !a.ending.CompareAndSwap(false, true) {
		a.leaving.Store(false)
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
