package ovsdb_test

import (
	"maps"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/gremesh/gremesh/ovsdb"
)

// Whatever comes and goes, what is known of the forwarding table without reading
// it is what reading it tells.
func TestWhatIsKnownOfTheForwardingTableIsWhatItHas(t *testing.T) {
	o := startOVS(t)
	c := connect(t, o)
	const seed = 7
	random := rand.New(rand.NewPCG(seed, seed))
	for i := range 40 {
		var peers []int
		for n := 43; n < 51; n++ {
			if random.IntN(2) == 0 {
				peers = append(peers, n)
			}
		}
		want := pinned(peers...)
		switch random.IntN(8) {
		case 0:
			want = mesh(peers...) // without entries
		case 1:
			o.vsctl("ovs-vsctl --if-exists del-port gre44")
		case 2:
			o.vsctl("ovs-vsctl --if-exists set port gre45 protected=false")
		case 3:
			o.vsctl("ovs-vsctl --if-exists set interface gre46 type=vxlan")
		}
		reconcile(t, c, want)
		reconcile(t, c, want) // where a name or a tunnel was taken until then
		known := observe(t, c)
		c.Refresh()
		if read := observe(t, c); !maps.Equal(known.Static, read.Static) {
			t.Fatalf("seed %d, step %d: known %v, read %v\n%s", seed, i, known.Static, read.Static, o.fdb("fdb/show br0"))
		}
		if left := ovsdb.Diff(want, known); len(left) > 0 {
			t.Fatalf("seed %d, step %d: left %v", seed, i, drifts(left))
		}
	}
}

func drifts(changes []ovsdb.Change) string {
	var all []string
	for _, c := range changes {
		all = append(all, c.String())
	}
	return strings.Join(all, "; ")
}
