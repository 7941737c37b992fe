package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sync/errgroup"

	"github.com/gremesh/gremesh/bridge/process"
	"github.com/gremesh/gremesh/mesh"
	"github.com/gremesh/gremesh/mesh/gossip"
	"github.com/gremesh/gremesh/mesh/history"
)

const (
	// What waits for this unit, Docker among it, starts after this time even
	// though no seed has answered.
	readyAfter   = 10 * time.Second
	leaveTimeout = 150 * time.Second // more than a restart of Docker that is under way
)

// agent is this host's parts, wired together.
type agent struct {
	parts
	log   *slog.Logger
	node  *gossip.Node
	loop  *mesh.Loop
	ready func() // tells systemd, once

	stopLoop context.CancelFunc
	loopDone chan struct{}
	leaving  atomic.Bool
	left     chan struct{} // closed when the host has left the mesh, or failed to
	leaveErr error         // why it failed to; valid once left is closed
}

// runAgent runs this host until ctx ends or it leaves the mesh. Nothing on the
// machine is touched before the configuration has been held against it.
func runAgent(ctx context.Context, cfg Config, log *slog.Logger) error {
	if cfg.Mesh.Insecure {
		log.Warn("mesh.insecure: gossip is not encrypted, and whoever reaches its port can join and redirect container traffic")
	}
	underlay, err := findUnderlay(cfg)
	if err != nil {
		return err
	}
	if err := checkPool(cfg, underlay.addr); err != nil {
		return err
	}
	unlock, err := lockState(cfg.StateDir)
	if err != nil {
		return err
	}
	defer unlock()
	listener, err := listenControl(ctx, cfg.Control)
	if err != nil {
		return err
	}
	defer listener.Close() //nolint:errcheck // closed by the server, but for an early return

	a, err := newAgent(ctx, cfg, underlay, log)
	if err != nil {
		return err
	}
	return a.run(ctx, &http.Server{
		Handler:           mesh.Control{Loop: a.loop, Leases: a.node, Survey: a.node, Leave: a.leave}.Handler(),
		ReadHeaderTimeout: 5 * time.Second,
	}, listener)
}

func newAgent(ctx context.Context, cfg Config, at underlay, log *slog.Logger) (*agent, error) {
	a := &agent{
		log: log, parts: newParts(cfg, at, log), loopDone: make(chan struct{}), left: make(chan struct{}),
		ready: sync.OnceFunc(func() {
			if _, err := daemon.SdNotify(false, daemon.SdNotifyReady); err != nil {
				log.Warn("tell systemd that the agent is ready", "err", err)
			}
		}),
	}
	var err error
	if a.node, err = gossip.New(a.gossip(ctx, cfg, at, log)); err != nil {
		return nil, err
	}
	a.loop = mesh.NewLoop(mesh.LoopConfig{
		Config: a.config, Version: buildVersion(),
		Membership: a.node, Switch: a.ovs, Kernel: a.kernel, Docker: a.docker,
		History: history.New(cfg.StateDir, log), Ages: process.Ages,
		Log: log, Ready: a.ready,
	})
	a.node.AnswerWith(a.loop.Row)
	log.Info("this host", "host", a.node.ID(), "name", cfg.Node.Name, "underlay", at.addr, "device", at.link, "mtu", at.mtu)
	return a, nil
}

func (a *agent) run(ctx context.Context, server *http.Server, listener net.Listener) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	group, ctx := errgroup.WithContext(ctx)
	loopCtx, stopLoop := context.WithCancel(ctx)
	a.stopLoop = stopLoop

	group.Go(func() error { return a.node.Run(ctx) })
	group.Go(func() error { return a.ovs.Run(ctx) })
	group.Go(func() error { return a.kernel.Run(ctx) })
	group.Go(func() error { return a.keep(loopCtx) })
	group.Go(func() error {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("control socket: %w", err)
		}
		return nil
	})
	group.Go(func() error {
		var failed error
		select {
		case <-ctx.Done():
		case <-a.left:
			failed = a.leaveErr
		}
		// Whoever asked to leave gets an answer before the socket goes.
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		err := server.Shutdown(grace)
		stop()
		return errors.Join(failed, err)
	})
	err := group.Wait()
	select {
	case <-a.left: // what became of the tunnels has been said
	default:
		a.log.Info("stopped; tunnels and routes stay as they are")
	}
	return err
}

// keep runs the loop, once this host has met the others or has reason to go on
// without.
func (a *agent) keep(ctx context.Context) error {
	defer close(a.loopDone)
	late := time.AfterFunc(readyAfter, a.ready)
	defer late.Stop()
	select {
	case <-a.node.Ready():
		return a.loop.Run(ctx)
	case <-ctx.Done():
		return nil
	}
}

// leave takes this host out of the mesh: it takes away what gremesh made here
// and says goodbye, so that the peers drop their ports at once. The agent ends
// with it, in any case: having stopped the loop there is no way back. Whoever
// asked may go away meanwhile.
func (a *agent) leave(ctx context.Context, release bool) (err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveTimeout)
	defer cancel()
	if !a.leaving.CompareAndSwap(false, true) {
		return errors.New("this host is leaving already")
	}
	defer func() {
		a.leaveErr = err
		close(a.left)
	}()
	a.stopLoop()
	select {
	case <-a.loopDone:
	case <-ctx.Done():
		return fmt.Errorf("the last pass has not ended within %s: %w; the agent stops, and the peers see this host as failed", leaveTimeout, ctx.Err())
	}
	if err := a.loop.Teardown(ctx); err != nil {
		return fmt.Errorf("%w; the agent stops, and the peers see this host as failed", err)
	}
	if err := a.node.Leave(ctx, release); err != nil {
		return fmt.Errorf("say goodbye: %w", err)
	}
	a.log.Info("left the mesh", "released", release)
	return nil
}
