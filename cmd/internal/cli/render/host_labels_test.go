package render

import (
	"strings"
	"testing"
	"time"

	"github.com/gremesh/gremesh/mesh"
)

func TestTablesTellHostsWithOneNameApart(t *testing.T) {
	leases := Leases([]mesh.Lease{
		{Name: "h1", ID: "0011223344"}, {Name: "h2", ID: "de75d79100"}, {Name: "h2", ID: "5414c3d4ff"},
	}, time.Now(), false)
	peers := peersTable("h1", "0011223344", []mesh.PeerStatus{
		{Name: "h2", ID: "de75d79100"}, {Name: "h1", ID: "5414c3d4ff"}, {Name: "h3", ID: "33"}, {ID: "44"},
	}, false)
	for _, test := range []struct {
		table     string
		has, lack []string
	}{
		{leases, []string{"h2 (de75d791)", "h2 (5414c3d4)"}, []string{"h1 ("}},
		{peers, []string{"h1 (5414c3d4)", "44"}, []string{"h2 (", "h3 ("}},
	} {
		for _, want := range test.has {
			if !strings.Contains(test.table, want) {
				t.Errorf("no %q in\n%s", want, test.table)
			}
		}
		for _, not := range test.lack {
			if strings.Contains(test.table, not) {
				t.Errorf("%q in\n%s", not, test.table)
			}
		}
	}
}
