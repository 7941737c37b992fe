package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/gremesh/gremesh/mesh"
	"github.com/gremesh/gremesh/mesh/lease"
	"github.com/gremesh/gremesh/mesh/settings"
)

// command runs gremesh with an agent that answers.
func command(t *testing.T, handler http.HandlerFunc, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	t.Setenv("GREMESH_CONTROL", answering(t, handler))
	var out, err bytes.Buffer
	code = Run(Program{Version: "v0"}, args, &out, &err)
	return code, out.String(), err.String()
}

func TestConfigAsksTheAgentAndItsExitCodeSaysWhatCameOfIt(t *testing.T) {
	var posted []settings.Value
	refusing := false
	handler := func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v1/config" {
			t.Errorf("asked for %s", r.URL)
		}
		if r.Method == http.MethodPost {
			if err := json.NewDecoder(r.Body).Decode(&posted); err != nil {
				t.Error(err)
			}
		}
		if refusing {
			w.WriteHeader(http.StatusConflict)
			_, _ = fmt.Fprint(w, `{"error": "it cannot change on a running mesh"}`)
			return
		}
		_ = json.NewEncoder(w).Encode(agentSettings())
	}
	for _, c := range []struct {
		args   string
		refuse bool
		code   int
		says   string // on standard output, or with a code on standard error
		posts  int
	}{
		{"config show", false, 0, "tunnel.key        11259375", 0},
		{"config show -o json", false, 0, `"origin": "pinned"`, 0},
		{"config get tunnel.type", false, 0, "vxlan\n", 0},
		{"config get tunnel.fallback", false, 0, "none\n", 0},
		{"config get zz.later", false, 0, "on\n", 0},
		{"config get tunnel.color", false, 2, "the settings are pool", 0},
		{"config get", false, 2, "name one setting", 0},
		{"config set tunnel.key random", false, 0, "tunnel.key is 11259375 for the whole mesh (settings version 3 by h1)", 1},
		{"config set tunnel.type gre tunnel.fallback none", false, 0, "tunnel.fallback is none", 2},
		{"config set tunnel.type", false, 2, "gremesh config set KEY VALUE", 0},
		{"config set", false, 2, "gremesh config set KEY VALUE", 0},
		{"config set tunnel.type ipip", false, 2, "must be gre, vxlan or geneve", 0},
		{"config set tunnel.color red", false, 2, "is not a mesh setting", 0},
		{"config set pool 10.0.0.0/8", true, 1, "it cannot change on a running mesh", 1},
		{"config show", true, 1, "it cannot change", 0},
	} {
		posted, refusing = nil, c.refuse
		code, stdout, stderr := command(t, handler, strings.Fields(c.args)...)
		said := stdout
		if c.code != 0 {
			said = stderr
		}
		if code != c.code || !strings.Contains(said, c.says) || len(posted) != c.posts {
			t.Errorf("gremesh %s: code %d, %d changes posted\n%s%s", c.args, code, len(posted), stdout, stderr)
		}
		if strings.HasPrefix(c.args, "config set") && code == 0 && !strings.Contains(stderr, "pinned in /etc/gremesh/gremesh.yaml: remove it there") {
			t.Errorf("gremesh %s: the pin is not told: %s", c.args, stderr)
		}
	}
}

func TestSettingsAndTheirValuesAreCompleted(t *testing.T) {
	names := func(all []cobra.Completion) (names []string) {
		for _, c := range all {
			name, _, _ := strings.Cut(c, "\t")
			names = append(names, name)
		}
		return names
	}
	for _, c := range []struct{ args, want []string }{
		{nil, []string{"tunnel.fallback", "tunnel.key", "tunnel.type"}},
		{[]string{"tunnel.type"}, []string{"gre", "vxlan", "geneve"}},
		{[]string{"tunnel.type", "gre", "tunnel.key"}, []string{"random", "none"}},
		{[]string{"nonsense"}, nil},
	} {
		got, _ := completeSettings(nil, c.args, "")
		if !slices.Equal(names(got), c.want) {
			t.Errorf("after %q: %q, want %q", c.args, names(got), c.want)
		}
	}
	if got, _ := completeSetting(nil, nil, ""); len(got) != len(settings.Definitions()) {
		t.Errorf("%q", got)
	}
}

// agentSettings is the answer of an agent that pins two settings.
func agentSettings() mesh.SettingList {
	record := settings.Record{Version: 3, Writer: lease.ID{1}, Values: settings.Values{}.With(
		settings.Pool.Is(settings.Pool.Of(nil)), settings.Prefix.Is(24), settings.TunnelType.Is("gre"),
		settings.TunnelKey.Is(11259375), settings.Value{Key: "zz.later", Text: "on"})}
	return mesh.ListSettings(record, "h1", []settings.Pin{
		{Value: settings.TunnelType.Is("vxlan"), Where: "/etc/gremesh/gremesh.yaml"},
		{Value: settings.Prefix.Is(24), Where: "the environment variable GREMESH_PREFIX"},
	})
}

// answering answers on a control socket with handler, until the test ends.
func answering(t *testing.T, handler http.HandlerFunc) (socket string) {
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
