package mesh

import (
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gremesh/gremesh/mesh/drift"
	"github.com/gremesh/gremesh/mesh/lease"
	"github.com/gremesh/gremesh/ovsdb"
)

func rowOf(t *testing.T, w *world) Row {
	t.Helper()
	row := w.loop().Row(t.Context())
	if err := row.Validate(); err != nil {
		t.Errorf("a host that is asked answers with what is refused: %v", err)
	}
	return row
}

func TestARowSaysWhatIsThere(t *testing.T) {
	w := planned(testHost(2), testHost(3), testHost(4))
	w.ovs.Ports = w.ovs.Ports[1:]                                 // gre43, to h2, is missing
	w.ovs.Ports[0].Protected = false                              // gre44
	w.ovs.Ports[1].Remote = netip.MustParseAddr("192.168.248.99") // gre45
	w.ovs.Ports = append(w.ovs.Ports, ovsdb.Port{                 // left over
		Tunnel: ovsdb.Tunnel{Name: "gre99", Type: "gre", Remote: netip.MustParseAddr("192.168.248.99"), Peer: ovsdb.Peer{Name: "h9\x1b[2J"}},
		Bridge: "br0", Interfaces: []string{"gre99"}, Ours: true, Mesh: "4d35", Protected: true,
	}, ovsdb.Port{ // by hand
		Tunnel: ovsdb.Tunnel{Name: "hand", Type: "gre", Key: 5, Remote: testHost(2).Underlay}, Bridge: "br0", Interfaces: []string{"hand"},
	})
	w.ovs.Bridge.MTU, w.kernel.Addrs = 1400, nil
	row := rowOf(t, w)
	if row.Name != "h1" || row.Subnet != testHost(1).Subnet || row.Bip.String() != "172.17.42.1/24" || row.MTU != 1462 {
		t.Errorf("of itself: %+v", row)
	}
	if row.Drift < 2 {
		t.Errorf("%d differences beside the tunnels, want the bridge's and the kernel's", row.Drift)
	}
	for i, want := range []struct {
		port, drift         string
		desired, configured bool
	}{
		{"gre43", "port gre43", true, false},
		{"gre44", "port gre44 protected", true, true},
		{"gre45", "interface gre45 options:remote_ip", true, true},
		{"gre99", "port gre99", false, true},
		{"hand", "", false, true},
	} {
		c := row.Cells[i]
		var objects []string
		for _, d := range c.Drift {
			objects = append(objects, d.Object)
		}
		if c.Port != want.port || c.Desired != want.desired || c.Configured != want.configured || strings.Join(objects, ",") != want.drift {
			t.Errorf("cell %+v, want %+v", c, want)
		}
	}
	if hand := row.Cells[4]; !hand.Foreign || hand.Protected {
		t.Errorf("a port of others is %+v", hand)
	}
	if len(w.applied) > 0 {
		t.Errorf("asking has changed %v", w.applied)
	}
}

func TestARowOfAHostThatIsAsItShouldBeIsClean(t *testing.T) {
	row := rowOf(t, planned(testHost(2), testHost(3)))
	rows := []Row{row}
	if len(row.Cells) != 2 || row.Drift != 0 || row.Blind != "" || len(row.Unseen) > 0 {
		t.Errorf("%+v", row)
	}
	a := allWell(3)
	rows = append(rows, a.rows[1:]...)
	a.rows = rows
	if audit := a.audit(); len(audit.Findings) > 0 {
		t.Errorf("found %+v", audit.Findings)
	}
}

func TestAHostWithoutALeaseWantsNothingAndKeepsWhatItHas(t *testing.T) {
	w := planned(testHost(2))
	w.view.Self.Subnet, w.view.Waiting = netip.Prefix{}, "no seed answers"
	row := rowOf(t, w)
	if row.Drift != 0 || len(row.Cells) != 1 || len(row.Cells[0].Drift) > 0 || row.Waiting != "no seed answers" {
		t.Errorf("%+v", row)
	}
}

func TestARowIsMadeInTimeWhateverHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := planned(testHost(2))
		w.hangs = true
		began := time.Now()
		row := rowOf(t, w)
		if took := time.Since(began); row.Blind == "" || len(row.Cells) > 0 || took > rowPatience {
			t.Errorf("after %s: %+v", took, row)
		}
	})
}

func TestARowWaitsForAPassAndNotForEver(t *testing.T) {
	for name, c := range map[string]struct {
		pass   time.Duration
		unseen int
	}{
		"a slow one":            {2 * time.Second, 0},
		"one that does not end": {time.Minute, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := planned(testHost(2)).loop()
				l.busy.Lock()
				time.AfterFunc(c.pass, l.busy.Unlock)
				began := time.Now()
				row := l.Row(t.Context())
				if took := time.Since(began); took > rowPatience || len(row.Unseen) != c.unseen || len(row.Cells) != 1 || row.Drift != 0 {
					t.Errorf("after %s: %+v", took, row)
				}
			})
		})
	}
}

func TestARowThatNoHostSendsIsRefused(t *testing.T) {
	for name, change := range map[string]func(*Row){
		"nobody's":           func(r *Row) { r.ID = lease.ID{} },
		"no name":            func(r *Row) { r.Name = "" },
		"an escape sequence": func(r *Row) { r.Waiting = "\x1b[2J" },
		"one in a command":   func(r *Row) { r.Cells[0].Do = "\x1b[2J" },
		"a long word":        func(r *Row) { r.Blind = strings.Repeat("x", maxText+1) },
		"too many cells":     func(r *Row) { r.Cells = make([]Cell, maxCells+1) },
		"a negative count":   func(r *Row) { r.Drift = -1 },
		"a hundred commands": func(r *Row) {
			r.Cells[0].Drift = []drift.Drift{{Object: "port gre43", Commands: make([]string, 100)}}
		},
		"a zone": func(r *Row) { r.Cells[0].Remote = netip.MustParseAddr("fe80::1%eth0") },
	} {
		row := allWell(2).rows[0]
		if err := row.Validate(); err != nil {
			t.Fatal(err)
		}
		if change(&row); row.Validate() == nil {
			t.Errorf("%s is taken for a row", name)
		}
	}
}
