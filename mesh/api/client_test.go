package api

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/gremesh/gremesh/mesh"
)

// serve answers on a control socket with handler, until the test ends.
func serve(t *testing.T, handler http.HandlerFunc) (socket string) {
	t.Helper()
	socket = filepath.Join(t.TempDir(), "gremesh.sock")
	l, err := new(net.ListenConfig).Listen(t.Context(), "unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: time.Second}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(l) // it ends by Close
	}()
	t.Cleanup(func() {
		_ = server.Close()
		<-done
	})
	return socket
}

func TestTheClientAsksWhatTheAgentServes(t *testing.T) {
	others := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, others) }) // after the server has ended
	asked := make(chan string, 4)
	socket := serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked <- r.Method + " " + r.URL.String()
		switch r.URL.Path {
		case "/v1/status":
			_, _ = fmt.Fprint(w, `{"host": {"name": "h1", "subnet": "172.17.42.0/24", "bip": ""}, "new_field": 1}`)
		case "/v1/audit":
			_, _ = fmt.Fprint(w, `{"drift": [{"object": "port gre43"}]}`)
		case "/v1/leave":
			_, _ = fmt.Fprint(w, `{}`)
		}
	})
	c, ctx := NewClient(socket), t.Context()

	status, err := c.Status(ctx)
	if err != nil || status.Host.Name != "h1" || status.Host.Subnet.Bits() != 24 || status.Host.Bip.IsValid() {
		t.Errorf("status is %+v, error %v", status, err)
	}
	audit, err := c.Audit(ctx)
	if err != nil || len(audit.Drift) != 1 {
		t.Errorf("audit is %+v, error %v", audit, err)
	}
	for _, release := range []bool{false, true} {
		if err := c.Leave(ctx, release); err != nil {
			t.Error(err)
		}
	}
	for _, want := range []string{"GET /v1/status", "GET /v1/audit", "POST /v1/leave?release=false", "POST /v1/leave?release=true"} {
		if got := <-asked; got != want {
			t.Errorf("asked %q, want %q", got, want)
		}
	}
}

// An audit that finds nothing must be one.
func TestWhatIsNoAgentsAnswerIsAnError(t *testing.T) {
	body := ""
	c := NewClient(serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, body) }))
	ctx := t.Context()
	for name, ask := range map[string]func() error{
		"status":     func() error { _, err := c.Status(ctx); return err },
		"audit":      func() error { _, err := c.Audit(ctx); return err },
		"mesh audit": func() error { _, err := c.MeshAudit(ctx); return err },
		"mesh look":  func() error { _, err := c.MeshLook(ctx); return err },
		"plan":       func() error { _, err := c.Plan(ctx); return err },
		"renumber":   func() error { _, err := c.Renumber(ctx, netip.Prefix{}); return err },
		"retry":      func() error { _, err := c.Retry(ctx, "h2"); return err },
		"leave":      func() error { return c.Leave(ctx, false) },
		"forget":     func() error { _, err := c.Forget(ctx, "h2", mesh.ForgetAgreed); return err },
		"find":       func() error { _, err := c.FindForgotten(ctx, "h2"); return err },
		"leases":     func() error { _, err := c.Leases(ctx); return err },
		"adopt":      func() error { _, err := c.Adopt(ctx); return err },
	} {
		bodies := []string{"", "<html>", `"x"`, `{"host":`, `{"drift": 5, "hosts": 5, "host": 5, "subnet": 5, "type": 5, "ports": 5}`}
		if name != "leave" { // whose answer says nothing
			bodies = append(bodies, "{}", "null")
		} else {
			bodies = bodies[:4]
		}
		for _, body = range bodies {
			if err := ask(); err == nil {
				t.Errorf("%s: %q is taken for an answer", name, body)
			}
		}
	}
}

func TestTheAgentsRefusalIsPassedOn(t *testing.T) {
	for body, want := range map[string]string{
		`{"error": "Open vSwitch does not answer"}`: "Open vSwitch does not answer",
		`not json`: "the agent answered 503 Service Unavailable",
		``:         "the agent answered 503 Service Unavailable",
	} {
		socket := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = fmt.Fprint(w, body)
		})
		if err := NewClient(socket).Leave(t.Context(), false); err == nil || err.Error() != want {
			t.Errorf("%q: error is %v, want %q", body, err, want)
		}
	}
}

func TestAnAgentThatIsNotThereIsExplained(t *testing.T) {
	none := filepath.Join(t.TempDir(), "none.sock")

	dead := filepath.Join(t.TempDir(), "dead.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: dead, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false) // as after a crash
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}

	for _, socket := range []string{none, dead} {
		_, err := NewClient(socket).Status(t.Context())
		for _, want := range []string{socket, "systemctl start gremesh", "gremesh agent"} {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: error is %v, want it to name %q", socket, err, want)
			}
		}
	}
}

func TestAQuestionEndsWithItsContext(t *testing.T) {
	release := make(chan struct{})
	socket := serve(t, func(http.ResponseWriter, *http.Request) { <-release })
	defer close(release)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := NewClient(socket).Status(ctx); err == nil {
		t.Error("it did not end")
	}
}
