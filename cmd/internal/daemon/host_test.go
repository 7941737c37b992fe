package daemon

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gremesh/gremesh/bridge"
	"github.com/gremesh/gremesh/bridge/docker"
	"github.com/gremesh/gremesh/bridge/filter"
	"github.com/gremesh/gremesh/cmd/internal/config"
	"github.com/gremesh/gremesh/cmd/internal/machine"
	"github.com/gremesh/gremesh/mesh"
	"github.com/gremesh/gremesh/mesh/journal"
	"github.com/gremesh/gremesh/ovsdb"
)

// agentNamed is an agent that says its name, or waits for the request's end.
func agentNamed(ctx context.Context, name string) *agent {
	a := &agent{control: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/wait" {
			<-r.Context().Done()
		}
		_, _ = fmt.Fprint(w, name)
	})}
	a.life, a.end = context.WithCancel(ctx)
	return a
}

func (h *host) ask(path string) string {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w.Body.String()
}

func TestTheControlSocketAnswersWhileOneAgentFollowsAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := new(host)
		first, second := agentNamed(t.Context(), "first"), agentNamed(t.Context(), "second")
		active := &activeAgent{first, make(chan struct{})}
		h.current.Store(active)
		if got := h.ask("/"); got != "first" {
			t.Errorf("got %q", got)
		}

		underWay := make(chan string)
		go func() { underWay <- h.ask("/wait") }()
		synctest.Wait()
		first.end()
		if got := <-underWay; got != "first" { // and did not hang
			t.Errorf("got %q", got)
		}

		began := time.Now()
		go func() {
			time.Sleep(time.Second)
			h.current.Store(&activeAgent{second, make(chan struct{})})
			close(active.replaced)
		}()
		if got := h.ask("/"); got != "second" || time.Since(began) != time.Second {
			t.Errorf("got %q after %s", got, time.Since(began))
		}

		second.end()
		began = time.Now()
		if got := h.ask("/"); got != "second" || time.Since(began) != handoverTimeout {
			t.Errorf("without a successor: got %q after %s", got, time.Since(began))
		}
	})
}

func TestAnAgentEndsInOneWay(t *testing.T) {
	a := agentNamed(t.Context(), "moving")
	a.ending.Store(true)
	if err := a.leave(t.Context(), false); err == nil {
		t.Error("an agent that gives way to another one leaves the mesh")
	}
}

// The control socket hands on to an agent as soon as it is there.
func TestAnAgentMayBeAskedToLeaveBeforeItRuns(t *testing.T) {
	cfg := config.Config{Pool: netip.MustParsePrefix("172.17.0.0/16"), Prefix: 24, StateDir: t.TempDir()}
	cfg.Node.Name, cfg.Docker.DaemonJSON = "h1", filepath.Join(t.TempDir(), "daemon.json")
	log := slog.New(slog.DiscardHandler)
	h := &host{cfg: cfg, components: testComponents, log: log, watcher: machine.NewUnderlayWatcher(cfg, log), memory: mesh.NewMemory(), history: journal.New(cfg.StateDir, log), ready: func() {}}
	a, err := newAgent(t.Context(), h, machine.Underlay{Addr: netip.MustParseAddr("127.0.0.1")})
	if err != nil {
		t.Fatal(err)
	}
	defer a.end()
	if a.stopLoop == nil {
		t.Fatal("it can't be asked yet")
	}
	a.stopLoop()
	if err := a.runEngine(a.loopLife); err != nil {
		t.Error(err)
	}
	<-a.loopDone
}

// testComponents are components without a service behind them.
func testComponents(cfg config.Config, at machine.Underlay, log *slog.Logger) machine.Components {
	return machine.Components{
		Mesh:       machine.MeshConfig(cfg, at),
		OVS:        ovsdb.New(ovsdb.Config{DB: cfg.OVS.DB, Bridge: cfg.OVS.Bridge, StateDir: cfg.StateDir, Log: log}),
		Kernel:     bridge.New(bridge.Config{Bridge: cfg.Docker.Bridge, Port: cfg.OVS.Bridge, Pool: cfg.Pool, StateDir: cfg.StateDir, Log: log}),
		Docker:     docker.New(docker.Config{Path: cfg.Docker.DaemonJSON, Socket: cfg.Docker.Socket, StateDir: cfg.StateDir, Log: log}),
		NAT:        filter.New(log),
		Masquerade: cfg.Masquerade.Open(),
	}
}
