package daemon

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
	"github.com/gremesh/gremesh/cmd/internal/config"
	"github.com/gremesh/gremesh/cmd/internal/machine"
	"github.com/gremesh/gremesh/mesh"
	"github.com/gremesh/gremesh/mesh/journal"
	"github.com/gremesh/gremesh/mesh/metrics"
)

const (
	shutdownTimeout = 2 * time.Second // time to finish pending answers before the control socket closes
	// idleScraper limits how long an idle connection may wait for the next
	// scrape. Without the limit, any program that reaches the port could use up
	// all file descriptors.
	idleScraper     = 2 * time.Minute
	handoverTimeout = 2 * time.Second // how long a request waits for the next agent after one has ended
)

// host runs the agents of this machine, one at a time. It starts another agent
// whenever the underlay gets another address or MTU. The lock of the state and
// the control socket outlive the agents.
type host struct {
	cfg        config.Config
	version    string // of this binary
	components machine.Constructor
	log        *slog.Logger
	watcher    *machine.UnderlayWatcher
	ready      func()       // tells systemd that the agent is ready; only the first call has an effect
	memory     *mesh.Memory // handed from each agent to the next
	history    *journal.File
	current    atomic.Pointer[activeAgent] // never nil while the control socket is served
}

// activeAgent holds the agent that answers requests.
type activeAgent struct {
	agent    *agent
	replaced chan struct{} // closed when another agent answers
}

// runHost runs this host until ctx ends or the host leaves the mesh. Before it
// changes anything on the machine, it checks that the configuration suits the
// machine.
func runHost(ctx context.Context, cfg config.Config, o Options) error {
	log := o.Log
	if cfg.Mesh.Insecure {
		log.Warn("mesh.insecure: gossip is not encrypted, and anyone who reaches its port can join and redirect container traffic")
	}
	at, err := machine.FindUnderlay(cfg)
	if err != nil {
		return err
	}
	watcher := machine.NewUnderlayWatcher(cfg, log)
	if err := machine.Preflight(ctx, cfg, at.Addr, log); err != nil {
		return err
	}
	unlock, err := machine.LockState(cfg.StateDir)
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
	h := &host{cfg: cfg, version: o.Version, components: o.Components, log: log, watcher: watcher, memory: mesh.NewMemory(), history: journal.New(cfg.StateDir, log), ready: sync.OnceFunc(func() {
		if _, err := daemon.SdNotify(false, daemon.SdNotifyReady); err != nil {
			log.Warn("tell systemd that the agent is ready", "err", err)
		}
	})}
	first, err := h.startAgent(ctx, at)
	if err != nil {
		return err
	}
	return h.run(ctx, first, listener, scrapes)
}

// run serves the control socket and the metrics, and runs the agents that
// answer on both. If scrapes is nil, it serves no metrics.
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
	group.Go(func() error { return h.watcher.Run(ctx) })
	group.Go(func() error {
		defer stop()
		err := h.agents(ctx, first)
		err = errors.Join(err, h.memory.Wait(context.WithoutCancel(ctx))) // Wait has its own time limit
		// The caller of leave gets its answer before the socket closes.
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
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
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
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

// startAgent creates the agent that answers requests from now on. The caller
// runs it.
func (h *host) startAgent(ctx context.Context, at machine.Underlay) (*agent, error) {
	a, err := newAgent(ctx, h, at)
	if err != nil {
		return nil, err
	}
	if last := h.current.Swap(&activeAgent{a, make(chan struct{})}); last != nil {
		close(last.replaced)
	}
	return a, nil
}

// agents runs first, and a new agent after each change of the underlay.
func (h *host) agents(ctx context.Context, first *agent) error {
	for a := first; ; {
		next, err := a.run(ctx, h.watcher)
		moved := next != machine.Underlay{}
		if err != nil && a != first && !moved {
			// An address may vanish while its agent starts. This is no more
			// reason to end than an address that vanishes later.
			if _, _, _, gone := bridge.Resolve(a.at.Addr.String()); gone != nil {
				h.log.Warn("the underlay address is gone again", "underlay", a.at.Addr, "err", err)
				// The call waits for another address, or for the same one to
				// return.
				next, moved = h.watcher.Moved(ctx, machine.Underlay{Addr: a.at.Addr})
				err = nil
			}
		}
		if !moved || ctx.Err() != nil {
			select {
			case <-a.left: // the agent has already reported the state of the tunnels
			default:
				if err == nil {
					h.log.Info("stopped; tunnels and routes stay as they are")
				}
			}
			return err
		}
		h.log.Info("the underlay has changed", "was", a.at.Addr, "is", next.Addr, "device", next.Link, "mtu", next.MTU)
		if a, err = h.startAgent(ctx, next); err != nil {
			return err
		}
	}
}

// ServeHTTP forwards a request to the running agent. Between two agents it
// waits at most handoverTimeout for the next one. If none starts, the ended
// agent answers with its last data.
func (h *host) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a := h.answering(r.Context())
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(a.life, cancel)()
	a.control.ServeHTTP(w, r.WithContext(ctx))
}

func (h *host) answering(ctx context.Context) *agent {
	late := time.NewTimer(handoverTimeout)
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
