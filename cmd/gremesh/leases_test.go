package main

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gremesh/gremesh/mesh"
)

func TestRenderLeases(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	lease := func(i byte, state, host string, since, seen time.Duration) mesh.Lease {
		return mesh.Lease{
			Subnet: netip.PrefixFrom(netip.AddrFrom4([4]byte{172, 17, 41 + i, 0}), 24), Name: "h" + string('0'+i), State: state, Host: host,
			Underlay: netip.AddrFrom4([4]byte{192, 168, 248, 138 + i}), Since: now.Add(-since), LastSeen: now.Add(-seen),
		}
	}
	leases := []mesh.Lease{
		lease(1, "held", "alive", 49*time.Hour, 0),
		lease(2, "renumbering", "alive", time.Hour, 0),
		lease(3, "claiming", "alive", 30*time.Second, 0),
		lease(4, "held", "failed", 100*time.Hour, 90*time.Minute),
		lease(5, "expired", "failed", 200*time.Hour, 73*time.Hour),
		lease(6, "left", "left", 2*time.Hour, time.Minute),
		lease(7, "held", "alive", time.Minute, 0),
	}
	leases[6].Lost = true
	golden(t, "leases.txt", renderLeases(leases, now, false))
	golden(t, "leases_none.txt", renderLeases(nil, now, false))
}

func TestOnlyYesIsYes(t *testing.T) {
	for answer, want := range map[string]error{
		"y\n": nil, "yes\n": nil, "Y\n": nil, "yes \n": nil, "yes": nil,
		"\n": errNotConfirmed, "": errNotConfirmed, "n\n": errNotConfirmed, "yesterday\n": errNotConfirmed,
	} {
		var out strings.Builder
		if err := ask(strings.NewReader(answer), &out, "It will rain."); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", answer, err, want)
		}
		if out.String() != "It will rain.\nGo ahead? [y/N] " {
			t.Errorf("asked %q", out.String())
		}
	}
}

func TestFlannelsLeaseIsImported(t *testing.T) {
	file := filepath.Join(t.TempDir(), "subnet.env")
	text := "FLANNEL_NETWORK=172.17.0.0/16\nFLANNEL_SUBNET=172.17.43.1/24\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := load(t, "lease_import: "+file, "--insecure", "--bootstrap", "--name=h1")
	if want := netip.MustParsePrefix("172.17.43.0/24"); err != nil || cfg.Imported != want {
		t.Errorf("imported %s, %v, want %s", cfg.Imported, err, want)
	}
	cfg.StateDir = t.TempDir()
	if found := checkImport(cfg); len(found) != 0 {
		t.Errorf("a file that was read is reported: %v", found)
	}
	cfg, err = load(t, "lease_import: /nonexistent/subnet.env", "--insecure", "--bootstrap", "--name=h1")
	if err != nil || cfg.Imported.IsValid() {
		t.Errorf("after a reboot: %s, %v", cfg.Imported, err)
	}
	cfg.StateDir = t.TempDir()
	if found := checkImport(cfg); len(found) != 1 || !found[0].Tolerable || !strings.Contains(found[0].What, "/nonexistent/subnet.env does not exist") {
		t.Errorf("a missing file is not reported: %v", found)
	}
	holding(t, cfg.StateDir)
	if found := checkImport(cfg); len(found) != 0 {
		t.Errorf("a host that holds a lease reports: %v", found)
	}
	if _, err := load(t, "pool: 10.1.0.0/16\nlease_import: "+file, "--insecure", "--bootstrap", "--name=h1"); err == nil {
		t.Error("a subnet outside of the pool is imported")
	}
}

func TestToldToJoinAHostFoundsNothing(t *testing.T) {
	for _, c := range []struct {
		args []string
		want bool
	}{
		{nil, true},
		{[]string{"--join=10.0.0.1"}, false},
		{[]string{"--join=10.0.0.1", "--bootstrap"}, true},
	} {
		cfg, err := load(t, "mesh: {bootstrap: true, insecure: true}", append(c.args, "--name=h1")...)
		if err != nil || cfg.Mesh.Bootstrap != c.want {
			t.Errorf("%v: bootstrap is %t, %v", c.args, cfg.Mesh.Bootstrap, err)
		}
	}
}
