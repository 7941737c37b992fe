package gossip

import (
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gremesh/gremesh/mesh"
	"github.com/gremesh/gremesh/mesh/settings"
)

func tunnelKey(n *running) uint32 { return settings.TunnelKey.Of(n.View().Settings) }

func set(t *testing.T, n *Node, pairs ...string) mesh.SettingList {
	t.Helper()
	list, err := n.Set(t.Context(), changes(pairs...))
	if err != nil {
		t.Fatalf("set %q on %s: %v", pairs, n.cfg.Name, err)
	}
	return list
}

func changes(pairs ...string) (values []settings.Value) {
	for i := 0; i+1 < len(pairs); i += 2 {
		values = append(values, settings.Value{Key: pairs[i], Text: pairs[i+1]})
	}
	return values
}

func TestANewMeshHasARandomTunnelKeyThatIsNotOfTheGossipKey(t *testing.T) {
	seen := make(map[uint32]bool)
	for range 3 { // with one gossip key
		tm := newTestMesh(t)
		h1 := tm.start(tm.config(1))
		eventually(t, "h1 founded", func() bool { return h1.View().Self.Subnet.IsValid() })
		key := tunnelKey(h1)
		if key == 0 || key > settings.MaxKey || seen[key] {
			t.Errorf("the key is %d, and those of other meshes %v", key, seen)
		}
		seen[key] = true
		h2 := tm.start(tm.config(2))
		eventually(t, "h2 holds a lease", func() bool { return h2.View().Self.Subnet.IsValid() })
		if got := tunnelKey(h2); got != key { // at once: it applies nothing before it knows
			t.Errorf("the joiner has the key %d, and the mesh %d", got, key)
		}
	}
}

func TestSettingsThatOneHostSetsCountOnAllAndLast(t *testing.T) {
	tm := newTestMesh(t)
	cfg := []Config{tm.config(1), tm.config(2), tm.config(3)}
	h1, h2, h3 := tm.start(cfg[0]), tm.start(cfg[1]), tm.start(cfg[2])
	eventually(t, "3 hosts", func() bool { return whole(h1, h2, h3) })

	list := set(t, h2.Node, "tunnel.type", "vxlan", "tunnel.key", "77")
	if list.Version != 2 || list.Writer != "h2" {
		t.Errorf("after the change: %+v", list)
	}
	has := func(n *running) bool {
		v := n.View().Settings
		return settings.TunnelType.Of(v) == "vxlan" && settings.TunnelKey.Of(v) == 77
	}
	eventually(t, "all have it", func() bool { return has(h1) && has(h2) && has(h3) })
	select {
	case <-h1.Changed():
	case <-time.After(5 * time.Second):
		t.Error("nobody is told that the view has changed")
	}

	if err := h3.stop(); err != nil {
		t.Fatal(err)
	}
	alone, err := New(cfg[2])
	if err != nil {
		t.Fatal(err)
	}
	if got := settings.TunnelKey.Of(alone.View().Settings); got != 77 {
		t.Errorf("a restarted host has the key %d before it meets anyone", got)
	}
	set(t, h1.Node, "tunnel.key", "78")
	h3 = tm.run(alone, "h3")
	h4 := tm.start(tm.config(4))
	eventually(t, "one that was away, and a new one, have it", func() bool {
		return whole(h1, h2, h3, h4) && tunnelKey(h3) == 78 && tunnelKey(h4) == 78
	})
	if got := settings.TunnelType.Of(h4.View().Settings); got != "vxlan" {
		t.Errorf("the new host has tunnels of type %s", got)
	}
}

func TestSettingsThatCannotChangeAreRejectedWithTheReason(t *testing.T) {
	tm := newTestMesh(t)
	h1 := tm.start(tm.config(1))
	eventually(t, "h1 founded", func() bool { return h1.View().Self.Subnet.IsValid() })
	_, err := h1.Set(t.Context(), changes("tunnel.type", "vxlan", "pool", "10.0.0.0/8"))
	if !errors.Is(err, settings.ErrFixed) || !strings.Contains(err.Error(), "gremesh leave --release") {
		t.Errorf("another pool: %v", err)
	}
	list, err := h1.Settings(t.Context())
	if err != nil || list.Version != 1 || settings.TunnelType.Of(h1.View().Settings) != "gre" {
		t.Errorf("something has changed: %+v, %v", list, err)
	}
	if list := set(t, h1.Node, "pool", "172.17.0.0/16"); list.Version != 1 {
		t.Errorf("a change of nothing has made version %d", list.Version)
	}
}

func TestASettingThatDiffersIsAProblemAndNoRefusal(t *testing.T) {
	tm := newTestMesh(t)
	cfg := tm.config(2)
	cfg.Settings.Tunnel.Type = "vxlan"
	cfg.Pins = []settings.Pin{{Value: settings.TunnelType.Is("vxlan"), Where: "/etc/gremesh/gremesh.yaml"}}
	h1, h2 := tm.start(tm.config(1)), tm.start(cfg)
	eventually(t, "2 hosts", func() bool { return whole(h1, h2) })
	told := func(n *running) bool {
		return slices.ContainsFunc(n.View().Problems, func(p mesh.Problem) bool {
			return strings.HasPrefix(p.What, "tunnel.type is pinned to vxlan in /etc/gremesh/gremesh.yaml; the mesh has gre") &&
				strings.Contains(p.Do, "remove tunnel.type") && strings.Contains(p.Do, "gremesh config set tunnel.type vxlan")
		})
	}
	eventually(t, "h2 says so", func() bool { return told(h2) })
	if told(h1) || settings.TunnelType.Of(h2.View().Settings) != "vxlan" || settings.TunnelType.Of(h1.View().Settings) != "gre" {
		t.Errorf("h1 %+v\nh2 %+v", h1.View(), h2.View())
	}
	set(t, h1.Node, "tunnel.type", "vxlan")
	eventually(t, "the mesh has what is pinned", func() bool { return !told(h2) })
	set(t, h1.Node, "tunnel.type", "geneve")
	eventually(t, "it differs again", func() bool {
		return slices.ContainsFunc(h2.View().Problems, func(p mesh.Problem) bool { return strings.Contains(p.What, "the mesh has geneve") })
	})
	if err := h2.stop(); err != nil {
		t.Fatal(err)
	}
	cfg.Pins, cfg.Settings = nil, testSettings
	h2 = tm.start(cfg)
	eventually(t, "the pin is removed", func() bool {
		return whole(h1, h2) && len(h2.View().Problems) == 0 && settings.TunnelType.Of(h2.View().Settings) == "geneve"
	})
}

func TestAMeshTakesWhatTheMachineSaysWhenItIsCreated(t *testing.T) {
	tm := newTestMesh(t)
	cfg := tm.config(1)
	var answers atomic.Bool
	cfg.Found = func(context.Context) ([]settings.Value, []mesh.Problem, error) {
		if !answers.Load() {
			return nil, nil, errors.New("Open vSwitch does not answer")
		}
		return []settings.Value{settings.TunnelKey.Is(0)}, []mesh.Problem{{What: "two keys"}}, nil
	}
	h1 := tm.start(cfg)
	eventually(t, "it says what it waits for", func() bool { return strings.Contains(h1.View().Waiting, "Open vSwitch does not answer") })
	if v := h1.View(); v.Mesh != "" || v.Self.Subnet.IsValid() {
		t.Errorf("a mesh was created without the machine's word: %+v", v)
	}
	answers.Store(true)
	eventually(t, "h1 founded", func() bool { return h1.View().Self.Subnet.IsValid() })
	if v := h1.View(); tunnelKey(h1) != 0 || len(v.Problems) != 1 {
		t.Errorf("%+v", v)
	}
	if err := h1.stop(); err != nil {
		t.Fatal(err)
	}
	answers.Store(false)
	h1 = tm.start(cfg)
	eventually(t, "a mesh that exists does not ask", func() bool { return h1.View().Self.Subnet.IsValid() })
}

func TestAKeyThatDoesNotFitTheTunnelTypeIsNotTaken(t *testing.T) {
	tm := newTestMesh(t)
	cfg := tm.config(1)
	cfg.Settings.Tunnel.Type = "vxlan"
	cfg.Pins = []settings.Pin{{Value: settings.TunnelType.Is("vxlan"), Where: "FILE"}}
	cfg.Found = func(context.Context) ([]settings.Value, []mesh.Problem, error) {
		return []settings.Value{settings.TunnelKey.Is(1 << 24)}, nil, nil
	}
	h1 := tm.start(cfg)
	eventually(t, "h1 founded", func() bool { return h1.View().Self.Subnet.IsValid() })
	if v := h1.View(); tunnelKey(h1) != 0 || len(v.Problems) != 1 || !strings.Contains(v.Problems[0].What, "24 bits") {
		t.Errorf("%+v", v)
	}
}

func TestAMeshThatIsOlderThanItsSettingsHasThoseOfTheConfiguration(t *testing.T) {
	tm := newTestMesh(t)
	cfg := []Config{tm.config(1), tm.config(2)}
	for i := range cfg {
		cfg[i].Settings.Tunnel.Key = 5
	}
	h1, h2 := tm.start(cfg[0]), tm.start(cfg[1])
	eventually(t, "2 hosts", func() bool { return whole(h1, h2) })
	for i, h := range []*running{h1, h2} {
		if err := h.stop(); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(cfg[i].Dir, "state.json")
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var st map[string]any
		if err := json.Unmarshal(text, &st); err != nil {
			t.Fatal(err)
		}
		if st["settings"] == nil {
			t.Fatalf("no settings on disk: %s", text)
		}
		delete(st, "settings")
		if text, err = json.Marshal(st); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	h1, h2 = tm.start(cfg[0]), tm.start(cfg[1])
	eventually(t, "2 hosts again", func() bool { return whole(h1, h2) })
	list, err := h1.Settings(t.Context())
	if err != nil || list.Version != 0 || list.Writer != "" || tunnelKey(h1) != 5 || tunnelKey(h2) != 5 {
		t.Errorf("%+v, %v; the keys are %d and %d", list, err, tunnelKey(h1), tunnelKey(h2))
	}
	set(t, h2.Node, "tunnel.key", "random")
	eventually(t, "both have another key", func() bool { return tunnelKey(h1) != 5 && tunnelKey(h1) == tunnelKey(h2) })
}

func TestAHostThatLostItsStateAppliesNothingBeforeItKnowsTheSettings(t *testing.T) {
	tm := newTestMesh(t)
	cfg := tm.config(2)
	h1, h2 := tm.start(tm.config(1)), tm.start(cfg)
	eventually(t, "2 hosts", func() bool { return whole(h1, h2) })
	if err := h2.stop(); err != nil {
		t.Fatal(err)
	}
	holder, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if !holder.View().Self.Subnet.IsValid() {
		t.Error("a restarted host has lost its lease")
	}
	holder.persistedSettings = settings.Record{} // nobody has told it
	holder.refresh()
	if v := holder.View(); v.Self.Subnet.IsValid() || !strings.Contains(v.Waiting, "settings of the mesh are not known") {
		t.Errorf("a host that does not know the settings applies its lease: %+v", v)
	}
	if err := os.WriteFile(filepath.Join(cfg.Dir, "state.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	node, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if v := node.View(); v.Self.Subnet.IsValid() || len(v.Settings) > 0 {
		t.Errorf("%+v", v)
	}
	h2 = tm.run(node, "h2")
	eventually(t, "it has learned them", func() bool { return whole(h1, h2) && tunnelKey(h2) == tunnelKey(h1) })
}

func TestSettingsThatCannotBeWrittenDoNotChange(t *testing.T) {
	tm := newTestMesh(t)
	cfg := tm.config(1)
	cfg.Dir = filepath.Join(cfg.Dir, "state")
	h1 := tm.start(cfg)
	eventually(t, "h1 founded", func() bool { return h1.View().Self.Subnet.IsValid() })
	before := tunnelKey(h1)
	// From now on every write fails: its directory is gone.
	if err := os.Rename(cfg.Dir, cfg.Dir+".away"); err != nil {
		t.Fatal(err)
	}
	if _, err := h1.Set(t.Context(), changes("tunnel.key", "random")); err == nil || !strings.Contains(err.Error(), "nothing has changed") {
		t.Errorf("a key that is not on disk: %v", err)
	}
	if now := tunnelKey(h1); now != before {
		t.Errorf("the key was %d and is %d", before, now)
	}
	if err := os.Rename(cfg.Dir+".away", cfg.Dir); err != nil {
		t.Fatal(err)
	}
	if list := set(t, h1.Node, "tunnel.key", "random"); list.Version != 2 {
		t.Errorf("%+v", list)
	}
}

func TestTheConfigurationMustHaveThePoolOfTheMesh(t *testing.T) {
	tm := newTestMesh(t)
	cfg := tm.config(1)
	h1 := tm.start(cfg)
	eventually(t, "h1 founded", func() bool { return h1.View().Self.Subnet.IsValid() })
	if err := h1.stop(); err != nil {
		t.Fatal(err)
	}
	cfg.Settings.Pool.Bits = 25
	if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), "prefix is 24 there and 25 here") {
		t.Errorf("another prefix is taken: %v", err)
	}
}

func TestSettingsOfTwoHalvesOfAMeshConverge(t *testing.T) {
	const hosts = 6
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		m := &simMesh{t: t, net: newSimNet(0.05), nodes: make([]*Node, hosts), stop: make([]func(), hosts), dir: dir}
		for i := range hosts {
			m.start(i)
		}
		m.until("all know all", 60*time.Second, func() bool { return m.whole(hosts) })
		m.net.partition(func(at netip.AddrPort) int { return int(at.Addr().As4()[3]) % 2 })
		set(t, m.nodes[0], "tunnel.key", "100")
		set(t, m.nodes[1], "tunnel.key", "101")
		keys := func() (keys []uint32) {
			for _, n := range m.nodes {
				keys = append(keys, settings.TunnelKey.Of(n.View().Settings))
			}
			return keys
		}
		m.until("each half has its own", 60*time.Second, func() bool { return slices.Equal(keys(), []uint32{100, 101, 100, 101, 100, 101}) })
		set(t, m.nodes[2], "tunnel.key", "102") // version 3: the latest of the longer chain
		m.until("one half has the next", 60*time.Second, func() bool { return slices.Equal(keys(), []uint32{102, 101, 102, 101, 102, 101}) })
		m.net.partition(func(netip.AddrPort) int { return 0 })
		m.until("all have the higher version", 60*time.Second, func() bool {
			return slices.Equal(keys(), []uint32{102, 102, 102, 102, 102, 102})
		})
		// Two at once, of one version: all take the same one.
		set(t, m.nodes[3], "tunnel.key", "103")
		set(t, m.nodes[4], "tunnel.key", "104")
		m.until("all agree", 60*time.Second, func() bool {
			k := keys()
			return k[0] > 102 && len(slices.Compact(k)) == 1
		})
		for _, stop := range m.stop {
			stop()
		}
		time.Sleep(time.Minute) // of the simulated clock: memberlist's last probes end
	})
}
