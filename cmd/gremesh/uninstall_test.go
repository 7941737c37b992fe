package main

import (
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/spf13/cobra"

	"github.com/gremesh/gremesh/mesh"
	"github.com/gremesh/gremesh/mesh/drift"
)

func TestUninstallShowsWhatItWillDo(t *testing.T) {
	golden(t, "uninstall.txt", renderUninstall(uninstallPlan{
		GivesUp: netip.MustParsePrefix("172.17.42.0/24"), State: "/var/lib/gremesh",
		UninstallPlan: mesh.UninstallPlan{
			Changes: []drift.Drift{
				{Object: "link docker0 mtu", Is: "1462", Should: "1500", Commands: []string{"ip link set dev docker0 mtu 1500"}},
				{Object: "bridge br0", Is: "a bridge of gremesh", Commands: []string{"ovs-vsctl del-br br0"}},
				{Object: "daemon.json bip", Is: "172.17.42.1/24"},
			},
			Stays:    []string{"net.ipv4.ip_forward stays 1: dockerd needs it"},
			Problems: []string{"no answer from Open vSwitch"},
		},
	}, false))
	golden(t, "uninstall_nothing.txt", renderUninstall(uninstallPlan{}, false))
}

func TestOnlyWhatIsGremeshsIsRemovedOfTheState(t *testing.T) {
	root := t.TempDir()
	cfg := Config{StateDir: filepath.Join(root, "state"), Control: filepath.Join(root, "gremesh.sock")}
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
		left, err := removeState(cfg)
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
	if left, err := removeState(cfg); err != nil || left != "" {
		t.Errorf("a second time: %q, %v", left, err)
	}
}

func TestUninstallNeedsNoConfigurationOfTheMesh(t *testing.T) {
	read := func(text string) (Config, error, error) {
		t.Helper()
		path := filepath.Join(t.TempDir(), "gremesh.yaml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return uninstallConfig(&cobra.Command{}, &configFile{path: path})
	}
	cfg, silent, err := read("state_dir: /srv/gremesh\nmesh: {key_file: /nonexistent}\n")
	if err != nil || silent == nil || cfg.StateDir != "/srv/gremesh" || cfg.Docker.Bridge != "docker0" {
		t.Errorf("%+v; %v; %v", cfg, silent, err)
	}
	if _, silent, err = read("mesh: {insecure: true, join: [192.0.2.1]}\n"); err != nil || silent != nil {
		t.Errorf("%v; %v", silent, err)
	}
	for _, wrong := range []string{"stat_dir: /x\n", "state_dir: x\n", "ovs: {bridge: docker0}\n"} {
		if _, _, err := read(wrong); err == nil {
			t.Errorf("%q is taken", wrong)
		}
	}
}
