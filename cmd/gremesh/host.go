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

	"github.com/gremesh/gremesh/bridge"
	"github.com/gremesh/gremesh/mesh"
	"github.com/gremesh/gremesh/mesh/history"
	"github.com/gremesh/gremesh/mesh/metrics"
)

const (
	farewell = 2 * time.Second // for the answers under way when the control socket goes
	// idleScraper is for how long a connection may wait for the next scrape: who
	// reaches the port could else open as many as there are files.
	idleScraper = 2 * time.Minute
	succession  = 2 * time.Second // in which an agent that has ended has a successor, if there is to be one
)

// host is this machine's agents: one at a time, and another one whenever the
// underlay has another address or MTU. The state's lock and the control socket
// outlive them.
type host struct {
	cfg     Config
	log     *slog.Logger
	look    *lookout
	ready   func()       // tells systemd, once
	memory  *mesh.Memory // of one agent after the other
	history *history.File
	current atomic.Pointer[office] // never nil while the control socket is served
}

// office is the place of the agent that answers.
type office struct {
	agent    *agent
	replaced chan struct{} // closed when another agent answers
}

// runHost runs this host until ctx ends or it leaves the mesh. It changes nothing on
// the machine before it has checked the configuration against it.
func runHost(ctx context.Context, cfg Config, log *slog.Logger) error {
	if cfg.Mesh.Insecure {
		log.Warn("mesh.insecure: gossip is not encrypted, and anyone who reaches its port can join and redirect container traffic")
	}
	at, err := findUnderlay(cfg)
	if err != nil {
		return err
	}
	look := newLookout(cfg, log)
	if err := checkHost(ctx, cfg, at.addr, log); err != nil {
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
	scrapes, err := listenMetrics(ctx, cfg.Metrics.Listen)
	if err != nil {
		return err
	}
	if scrapes != nil {
		defer scrapes.Close() //nolint:errcheck // as above
	}
	h := &host{cfg: cfg, log: log, look: look, memory: mesh.NewMemory(), history: history.New(cfg.StateDir, log), ready: sync.OnceFunc(func() {
		if _, err := daemon.SdNotify(false, daemon.SdNotifyReady); err != nil {
			log.Warn("tell systemd that the agent is ready", "err", err)
		}
	})}
	first, err := h.appoint(ctx, at)
	if err != nil {
		return err
	}
	return h.run(ctx, first, listener, scrapes)
}

// run serves the control socket, the metrics if scrapes is not nil, and the agents
// behind both.
func (h *host) run(ctx context.Context, first *agent, listener, scrapes net.Listener) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	group, ctx := errgroup.WithContext(ctx)
	var handler http.Handler = h
	if h.cfg.Profile {
		handler = profiled(h)
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second}
	group.Go(func() error {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("control socket: %w", err)
		}
		return nil
	})
	if scrapes != nil {
		group.Go(func() error { return h.serveMetrics(ctx, scrapes) })
	}
	group.Go(func() error { return h.look.Run(ctx) })
	group.Go(func() error {
		defer stop()
		err := h.agents(ctx, first)
		err = errors.Join(err, h.memory.Wait(context.WithoutCancel(ctx))) // that has a limit of its own
		// Whoever asked to leave gets an answer before the socket goes.
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
		defer cancel()
		return errors.Join(err, server.Shutdown(grace))
	})
	return group.Wait()
}

// serveMetrics answers scrapes until ctx ends.
func (h *host) serveMetrics(ctx context.Context, listener net.Listener) error {
	server := &http.Server{
		Handler: metrics.Handler(func(ctx context.Context) mesh.Status {
			return h.current.Load().agent.loop.Status(ctx)
		}),
		ReadHeaderTimeout: 5 * time.Second, WriteTimeout: 10 * time.Second, IdleTimeout: idleScraper,
	}
	stopped := make(chan struct{})
	end := context.AfterFunc(ctx, func() {
		defer close(stopped)
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
		defer cancel()
		_ = server.Shutdown(grace) // a scrape that takes longer is cut off
		_ = server.Close()
	})
	err := server.Serve(listener)
	if !end() {
		<-stopped
	}
	if !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("metrics: %w", err)
	}
	return nil
}

// appoint makes the agent that answers from now on.
func (h *host) appoint(ctx context.Context, at underlay) (*agent, error) {
	a, err := newAgent(ctx, h, at)
	if err != nil {
		return nil, err
	}
	if last := h.current.Swap(&office{a, make(chan struct{})}); last != nil {
		close(last.replaced)
	}
	return a, nil
}

// agents runs one after the other.
func (h *host) agents(ctx context.Context, first *agent) error {
	for a := first; ; {
		next, err := a.run(ctx, h.look)
		moved := next != underlay{}
		if err != nil && a != first && !moved {
			// An address that goes while the agent that has it starts is no
			// more reason to end than one that goes later.
			if _, _, _, gone := bridge.Resolve(a.at.addr.String()); gone != nil {
				h.log.Warn("the underlay address is gone again", "underlay", a.at.addr, "err", err)
				next, moved = h.look.moved(ctx, underlay{addr: a.at.addr}) // or the same again
				err = nil
			}
		}
		if !moved || ctx.Err() != nil {
			select {
			case <-a.left: // what became of the tunnels has been said
			default:
				if err == nil {
					h.log.Info("stopped; tunnels and routes stay as they are")
				}
			}
			return err
		}
		h.log.Info("the underlay has changed", "was", a.at.addr, "is", next.addr, "device", next.link, "mtu", next.mtu)
		if a, err = h.appoint(ctx, next); err != nil {
			return err
		}
	}
}

// ServeHTTP hands on to the agent that runs. While one follows another it
// waits a moment; the one that has ended still tells what it knows.
func (h *host) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a := h.answering(r.Context())
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(a.life, cancel)()
	a.control.ServeHTTP(w, r.WithContext(ctx))
}

func (h *host) answering(ctx context.Context) *agent {
	late := time.NewTimer(succession)
	defer late.Stop()
	for {
		o := h.current.Load()
		select {
		case <-o.agent.life.Done():
		default:
			return o.agent
		}
		select {
		case <-o.replaced:
		case <-late.C:
			return o.agent
		case <-ctx.Done():
			return o.agent
		}
	}
}
