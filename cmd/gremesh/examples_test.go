package main

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

var exampleFile = filepath.Join("..", "..", "examples", "gremesh.yaml")

func TestTheExampleLoads(t *testing.T) {
	key := filepath.Join(t.TempDir(), "key")
	if err := writeKey(key); err != nil {
		t.Fatal(err)
	}
	t.Setenv("GREMESH_MESH_KEY_FILE", key)
	cfg, err := loadConfig(exampleFile, true, agentFlags(t))
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"192.168.248.140:7946", "192.168.248.141:7946"}; !slices.Equal(cfg.Mesh.Join, want) {
		t.Errorf("join is %q, want %q", cfg.Mesh.Join, want)
	}
}

func TestTheExampleExplainsEveryKeyAndNoOther(t *testing.T) {
	text, err := os.ReadFile(exampleFile)
	if err != nil {
		t.Fatal(err)
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(configKeys(), explained(t, doc.Content[0], "")); diff != "" {
		t.Errorf("keys of Config (-) and of the example (+), in their order:\n%s", diff)
	}
}

// explained lists the keys of a mapping, each of which must have a comment.
func explained(t *testing.T, mapping *yaml.Node, prefix string) []string {
	var keys []string
	for pair := range slices.Chunk(mapping.Content, 2) {
		name, value := pair[0], pair[1]
		if name.HeadComment == "" {
			t.Errorf("line %d: %s%s is not explained", name.Line, prefix, name.Value)
		}
		if value.Kind == yaml.MappingNode {
			keys = append(keys, explained(t, value, prefix+name.Value+".")...)
		} else {
			keys = append(keys, prefix+name.Value)
		}
	}
	return keys
}

// What the example says to be defaults are the defaults.
func TestTheExampleHoldsTheDefaults(t *testing.T) {
	s, err := readSettings(exampleFile, true, agentFlags(t))
	if err != nil {
		t.Fatal(err)
	}
	own := []string{"node.name", "node.advertise", "mesh.join"} // it says so of these
	for key, want := range defaults() {
		if slices.Contains(own, key) {
			continue
		}
		got := s.Get(key)
		if _, ok := got.([]any); ok {
			got = s.GetStringSlice(key)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-default +example):\n%s", key, diff)
		}
	}
}
