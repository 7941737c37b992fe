package config

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gremesh/gremesh/mesh/lease"
)

func TestPeersFiles(t *testing.T) {
	space := lease.Pool{Prefix: netip.MustParsePrefix("172.17.0.0/16"), Bits: 24}
	const h1 = "- {name: h1, underlay: 192.168.248.139, subnet: 172.17.42.0/24}\n"
	for name, c := range map[string]struct {
		text string
		want []string // words of the error; none: it is read
	}{
		"YAML":            {h1 + "- {name: h2, underlay: 192.168.248.140, subnet: 172.17.43.0/24}\n", nil},
		"JSON":            {`[{"name": "h1", "underlay": "192.168.248.139", "subnet": "172.17.42.0/24"}]`, nil},
		"no host":         {"[]", nil},
		"nothing":         {"", []string{"want a list of hosts"}},
		"no list":         {"name: h1", []string{"want a list of hosts"}},
		"unknown key":     {"- {label: h1}", []string{"label"}},
		"no name":         {"- {underlay: 192.168.248.139, subnet: 172.17.42.0/24}", []string{"entry 1 ()", "name"}},
		"no address":      {h1 + "- {name: h2, underlay: h2.example, subnet: 172.17.43.0/24}", []string{"entry 2 (h2)", `underlay "h2.example"`}},
		"of one link":     {"- {name: h2, underlay: 'fe80::1', subnet: 172.17.43.0/24}", []string{"entry 1 (h2)", "not the address of a host"}},
		"in the pool":     {"- {name: h2, underlay: 172.17.9.9, subnet: 172.17.43.0/24}", []string{"entry 1 (h2)", "inside the pool"}},
		"no subnet":       {"- {name: h2, underlay: 192.168.248.140, subnet: 172.17.43.1/24}", []string{"entry 1 (h2)", "one of the /24 of the pool 172.17.0.0/16"}},
		"another pool's":  {"- {name: h2, underlay: 192.168.248.140, subnet: 10.1.2.0/24}", []string{"entry 1 (h2)", "10.1.2.0/24"}},
		"twice":           {h1 + "- {name: h2, underlay: 192.168.248.140, subnet: 172.17.42.0/24}", []string{"entry 2 (h2)", "172.17.42.0/24 is entry 1's already"}},
		"all are told of": {"- {name: h2}\n- {name: h3}", []string{"entry 1 (h2)", "entry 2 (h3)"}},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "peers.yaml")
			if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			hosts, err := ReadPeersFile(path, space)
			if (err != nil) != (c.want != nil) {
				t.Fatalf("%+v, %v", hosts, err)
			}
			for _, words := range c.want {
				if !strings.Contains(err.Error(), words) || !strings.Contains(err.Error(), path) {
					t.Errorf("%q is not in %q", words, err)
				}
			}
		})
	}
	if hosts, err := ReadPeersFile(filepath.Join("..", "..", "..", "examples", "peers.yaml"), space); err != nil || len(hosts) != 3 {
		t.Errorf("the example: %+v, %v", hosts, err)
	}
	if _, err := ReadPeersFile("/no/such/file", space); err == nil {
		t.Error("a file that is not there is no error")
	}
}
