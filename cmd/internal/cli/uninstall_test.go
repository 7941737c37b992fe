package cli

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/spf13/cobra"

	"github.com/gremesh/gremesh/cmd/internal/config"
)

func TestUninstallNeedsNoConfigurationOfTheMesh(t *testing.T) {
	read := func(text string) (config.Config, error, error) {
		t.Helper()
		path := filepath.Join(t.TempDir(), "gremesh.yaml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return uninstallConfig(&cobra.Command{}, &configFile{path: path})
	}
	cfg, leaveErr, err := read("state_dir: /srv/gremesh\nmesh: {key_file: /nonexistent}\n")
	if err != nil || leaveErr == nil || cfg.StateDir != "/srv/gremesh" || cfg.Docker.Bridge != "docker0" {
		t.Errorf("%+v; %v; %v", cfg, leaveErr, err)
	}
	if _, leaveErr, err = read("mesh: {insecure: true, join: [192.0.2.1]}\n"); err != nil || leaveErr != nil {
		t.Errorf("%v; %v", leaveErr, err)
	}
	for _, wrong := range []string{"stat_dir: /x\n", "state_dir: x\n", "ovs: {bridge: docker0}\n"} {
		if _, _, err := read(wrong); err == nil {
			t.Errorf("%q is taken", wrong)
		}
	}
}
