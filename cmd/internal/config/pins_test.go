package config

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestAConfigurationPinsWhatItNames(t *testing.T) {
	dir := t.TempDir()
	key := filepath.Join(dir, "key")
	if err := WriteGossipKey(key); err != nil {
		t.Fatal(err)
	}
	t.Setenv("GREMESH_MESH_KEY_FILE", key)
	file := filepath.Join(dir, "gremesh.yaml")
	for text, want := range map[string][]string{
		"mesh: {bootstrap: true}": nil,
		"mesh: {bootstrap: true}\npool: 172.17.0.0/16\ntunnel: {key: 0, fallback: []}": {
			"pool is pinned to 172.17.0.0/16 in " + file, "tunnel.fallback is pinned to none in " + file, "tunnel.key is pinned to none in " + file},
		"mesh: {bootstrap: true}\nprefix: 25\ntunnel: {type: vxlan, key: 7, fallback: [gre]}": {
			"prefix is pinned to 25 in " + file, "tunnel.fallback is pinned to gre in " + file, "tunnel.key is pinned to 7 in " + file, "tunnel.type is pinned to vxlan in " + file},
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		cfg, err := Load(file, true, agentFlags(t))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, pin := range cfg.Pins {
			got = append(got, pin.String())
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
	if err := os.WriteFile(file, []byte("mesh: {bootstrap: true}"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("GREMESH_TUNNEL_TYPE", "geneve")
	cfg, err := Load(file, true, agentFlags(t))
	if err != nil || len(cfg.Pins) != 1 || cfg.Pins[0].Where != "the environment variable GREMESH_TUNNEL_TYPE" {
		t.Errorf("%v, %v", cfg.Pins, err)
	}
}
