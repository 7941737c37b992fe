package machine

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gremesh/gremesh/bridge/docker"
	"github.com/gremesh/gremesh/cmd/internal/config"
	"github.com/gremesh/gremesh/cmd/internal/exit"
	"github.com/gremesh/gremesh/mesh/gossip"
	"github.com/gremesh/gremesh/mesh/lease"
	"github.com/gremesh/gremesh/mesh/preflight"
	"github.com/gremesh/gremesh/ovsdb"
)

func TestFindingsSayWhatToInstallAndWhatMayStillStart(t *testing.T) {
	refused := errors.New("connection refused")
	for name, tt := range map[string]struct {
		found []preflight.Finding
		do    string // words of the remedy; empty: there is no finding
		heals bool
	}{
		"Open vSwitch":                  {judgeSwitch(nil, true), "", false},
		"Open vSwitch does not answer":  {judgeSwitch(refused, true), "systemctl restart openvswitch-switch", true},
		"Open vSwitch is not installed": {judgeSwitch(refused, false), "apt install openvswitch-switch", false},
		"no kernel module":              {judgeSwitch(&ovsdb.NoDatapathError{Type: "system", Has: []string{"netdev"}}, true), "ovs.datapath: netdev", false},
		"no userspace datapath":         {judgeSwitch(&ovsdb.NoDatapathError{Type: "netdev"}, true), "datapath_types", false},
		"nft":                           {judgeNFT(true), "", false},
		"nft is not installed":          {judgeNFT(false), "apt install nftables", false},
		"Docker":                        {judgeDocker(true, nil), "", false},
		"Docker cannot be looked for":   {judgeDocker(false, refused), "", false},
		"Docker is not installed":       {judgeDocker(false, nil), "apt install docker.io", false},
		"the command to restart Docker": {judgeRestart(config.Restart{"sh", "-c", "x"}, isInstalled), "", false},
		"no command":                    {judgeRestart(nil, isInstalled), "", false},
		"a command that is no program":  {judgeRestart(config.Restart{"sometimes"}, isInstalled), "set docker.restart", false},
		"Podman":                        {judgeDocker(true, &docker.Trouble{What: "Podman", Do: "install Docker"}), "install Docker", false},
	} {
		if (len(tt.found) == 0) != (tt.do == "") {
			t.Errorf("%s: %+v", name, tt.found)
		}
		for _, f := range tt.found {
			if !strings.Contains(f.Do, tt.do) || f.Tolerable != tt.heals || f.What == "" {
				t.Errorf("%s: %+v", name, f)
			}
		}
	}
}

// A host without Open vSwitch used to found a mesh and to restart Docker.
func TestAHostThatLacksSomethingDoesNotStart(t *testing.T) {
	t.Setenv("PATH", t.TempDir()) // nothing is installed
	cfg := config.Config{StateDir: filepath.Join(t.TempDir(), "state")}
	cfg.OVS.DB, cfg.Docker.Socket = "unix:"+filepath.Join(cfg.StateDir, "no.sock"), "unix:///nowhere/docker.sock"
	cfg.Pool = netip.MustParsePrefix("127.0.0.0/8") // has a route on every host
	at := netip.MustParseAddr("127.1.2.3")
	var log bytes.Buffer
	err := Preflight(t.Context(), cfg, at, slog.New(slog.NewTextHandler(&log, nil)))
	if code, _ := exit.CodeOf(err, true); err == nil || code != exit.Usage {
		t.Fatalf("exit code %d, %v", code, err)
	}
	for _, line := range []string{"apt install openvswitch-switch", "apt install nftables", "underlay address 127.1.2.3"} {
		if !strings.Contains(err.Error(), line) || !strings.Contains(log.String(), line) {
			t.Errorf("%q is missing: %v\n%s", line, err, log.String())
		}
	}
	if HasState(cfg.StateDir) {
		t.Error("a state was written")
	}
	holding(t, cfg.StateDir)
	if err := Preflight(t.Context(), cfg, at, slog.New(slog.DiscardHandler)); err != nil {
		t.Errorf("a host that holds a lease does not start: %v", err)
	}
}

// holding writes the state of a host that holds a lease.
func holding(t *testing.T, dir string) {
	t.Helper()
	id, err := lease.ParseID("0123456789abcdef0123456789abcdef")
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(map[string]any{"host": id, "records": []lease.Record{
		{Host: id, Subnet: netip.MustParsePrefix("172.17.42.0/24"), State: lease.Held, Version: 1, Sequence: 1, Underlay: netip.MustParseAddrPort("192.168.248.139:7946"), Name: "h1"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "state.json"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	if subnet, err := gossip.Reserved(dir); err != nil || !subnet.IsValid() {
		t.Fatalf("the state that was written holds %s, %v", subnet, err)
	}
}

func TestAMissingFileOfFlannelIsReportedUntilThereIsALease(t *testing.T) {
	read := config.Config{StateDir: t.TempDir(), Import: "/run/flannel/subnet.env", Imported: netip.MustParsePrefix("172.17.43.0/24")}
	if found := CheckImport(read); len(found) != 0 {
		t.Errorf("a file that was read is reported: %v", found)
	}
	missing := config.Config{StateDir: t.TempDir(), Import: "/nonexistent/subnet.env"}
	if found := CheckImport(missing); len(found) != 1 || !found[0].Tolerable || !strings.Contains(found[0].What, "/nonexistent/subnet.env does not exist") {
		t.Errorf("a missing file is not reported: %v", found)
	}
	holding(t, missing.StateDir)
	if found := CheckImport(missing); len(found) != 0 {
		t.Errorf("a host that holds a lease reports: %v", found)
	}
}
