package config

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/gremesh/gremesh/mesh/settings"
)

var exampleFile = filepath.Join("..", "..", "..", "examples", "gremesh.yaml")

func TestTheExampleLoads(t *testing.T) {
	key := filepath.Join(t.TempDir(), "key")
	if err := WriteGossipKey(key); err != nil {
		t.Fatal(err)
	}
	t.Setenv("GREMESH_MESH_KEY_FILE", key)
	cfg, err := Load(exampleFile, true, agentFlags(t))
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"192.168.248.140:7946", "192.168.248.141:7946"}; !slices.Equal(cfg.Mesh.Join, want) {
		t.Errorf("join is %q, want %q", cfg.Mesh.Join, want)
	}
}

// meshKey is a line of the example that has a mesh setting, commented out.
var meshKey = regexp.MustCompile(`(?m)^( *)#([a-z]+: )`)

// withMeshKeys is the example with the keys of the mesh settings in force.
func withMeshKeys(t *testing.T) (text []byte, file string) {
	t.Helper()
	text, err := os.ReadFile(exampleFile)
	if err != nil {
		t.Fatal(err)
	}
	text = meshKey.ReplaceAll(text, []byte("$1$2"))
	file = filepath.Join(t.TempDir(), "gremesh.yaml")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return text, file
}

// A host that starts from the example takes the settings of its mesh.
func TestTheExamplePinsNothing(t *testing.T) {
	key := filepath.Join(t.TempDir(), "key")
	if err := WriteGossipKey(key); err != nil {
		t.Fatal(err)
	}
	t.Setenv("GREMESH_MESH_KEY_FILE", key)
	cfg, err := Load(exampleFile, true, agentFlags(t))
	if err != nil || len(cfg.Pins) > 0 {
		t.Errorf("the example pins %v, %v", cfg.Pins, err)
	}
	_, file := withMeshKeys(t)
	cfg, err = Load(file, true, agentFlags(t))
	if err != nil || len(cfg.Pins) != len(settings.Definitions()) {
		t.Errorf("with its mesh settings it pins %v, want all, %v", cfg.Pins, err)
	}
}

func TestTheExampleExplainsEveryKeyAndNoOther(t *testing.T) {
	text, _ := withMeshKeys(t)
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
	_, file := withMeshKeys(t)
	s, err := readSources(file, true, agentFlags(t))
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
