package machine

import (
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/gremesh/gremesh/cmd/internal/config"
)

func TestOnlyWhatIsGremeshsIsRemovedOfTheState(t *testing.T) {
	root := t.TempDir()
	cfg := config.Config{StateDir: filepath.Join(root, "state"), Control: filepath.Join(root, "gremesh.sock")}
	fill := func(names ...string) {
		t.Helper()
		for _, name := range names {
			if err := os.MkdirAll(cfg.StateDir, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(cfg.StateDir, name), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	fill(append(stateFiles(), ".state.json1234567", "notes")...)
	socket, err := new(net.ListenConfig).Listen(t.Context(), "unix", cfg.Control)
	if err != nil {
		t.Fatal(err)
	}
	socket.(*net.UnixListener).SetUnlinkOnClose(false) // as of an agent that was killed
	if err := socket.Close(); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{cfg.StateDir, ""} {
		left, err := RemoveState(cfg)
		if err != nil || left != want {
			t.Errorf("left %q, want %q; %v", left, want, err)
		}
		all, _ := filepath.Glob(filepath.Join(root, "*")) // the pattern is well formed
		if want != "" && len(all) != 1 || want == "" && len(all) != 0 {
			t.Errorf("there is still %q", all)
		}
		if err := os.RemoveAll(filepath.Join(cfg.StateDir, "notes")); err != nil {
			t.Fatal(err)
		}
	}
	if left, err := RemoveState(cfg); err != nil || left != "" {
		t.Errorf("a second time: %q, %v", left, err)
	}
}
