package mesh

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gremesh/gremesh/mesh/drift"
	"github.com/gremesh/gremesh/mesh/lease"
)

// answers are a mesh of n hosts in which all is well, and its account.
type answers struct {
	view View // h1 asks
	rows []Row
}

func allWell(n int) *answers {
	a := &answers{view: testView()}
	for i := 1; i <= n; i++ {
		h := testHost(i)
		row := Row{ID: h.ID, Name: h.Name, Underlay: h.Underlay, Subnet: h.Subnet, Bip: lease.Bip(h.Subnet), MTU: 1462, Version: "v1"}
		for j := 1; j <= n; j++ {
			if peer := testHost(j); j != i {
				row.Cells = append(row.Cells, Cell{
					Port: fmt.Sprintf("gre%d", 41+j), Peer: peer.ID, Name: peer.Name, Remote: peer.Underlay, Local: h.Underlay,
					Type: "gre", Subnet: peer.Subnet, Desired: true, Configured: true, Protected: true, BFD: "up", RemoteBFD: "up",
				})
			}
		}
		a.rows = append(a.rows, row)
		if i > 1 {
			a.view.Peers = append(a.view.Peers, h)
		}
	}
	return a
}

// audit has the hosts of whom there is a row asked, and those that are silent.
func (a *answers) audit(silent ...int) FullAudit {
	survey := Survey{Rows: a.rows}
	for _, r := range a.rows {
		survey.Asked = append(survey.Asked, r.ID)
	}
	for _, i := range silent {
		survey.Asked = append(survey.Asked, testHost(i).ID)
		a.mute(i)
	}
	survey.Rows = a.rows
	return Matrix(a.view, survey)
}

func (a *answers) row(i int) *Row { return &a.rows[i-1] }

// mute takes a host's answer away.
func (a *answers) mute(i int) {
	a.rows = slices.DeleteFunc(a.rows, func(r Row) bool { return r.ID == testHost(i).ID })
}

func (a *answers) cell(from, to int) *Cell {
	r := a.row(from)
	i := slices.IndexFunc(r.Cells, func(c Cell) bool { return c.Peer == testHost(to).ID && !c.Foreign })
	return &r.Cells[i]
}

// drop makes it so that a host has no port to another, and does not want one.
func (a *answers) drop(from, to int) {
	r := a.row(from)
	r.Cells = slices.DeleteFunc(r.Cells, func(c Cell) bool { return c.Peer == testHost(to).ID })
}

func (a *answers) bfd(from, to int, state string) { a.cell(from, to).BFD = state }

func (a *answers) path(from, to int, word string) { a.cell(from, to).Path = word }

func (a *answers) peer(i int) *Host { return &a.view.Peers[i-2] }

// without makes it so that no host has a port to another.
func (a *answers) without(i int) {
	for j := range a.rows {
		if j != i-1 {
			a.drop(j+1, i)
		}
	}
}

func summary(a FullAudit) []string {
	list := []string{}
	for _, f := range a.Findings {
		s := strings.TrimSpace(f.Kind + " " + f.From + " " + f.To)
		if f.Unsure {
			s += " ?"
		}
		list = append(list, s)
	}
	return list
}

// states is the matrix, without the diagonal.
func states(a FullAudit) string {
	var list []string
	for _, t := range a.Tunnels {
		if t.State != CellUp {
			list = append(list, t.From+">"+t.To+" "+string(t.State))
		}
	}
	return strings.Join(list, ", ")
}

// Each thing that may be wrong with a mesh, and what is said of it.
func TestWhatTheMatrixFinds(t *testing.T) {
	differs := func(c *Cell, column, is, should string) {
		c.Drift = append(c.Drift, drift.Drift{Object: "interface " + c.Port + " " + column, Is: is, Should: should, Commands: []string{"ovs-vsctl set …"}})
	}
	for name, c := range map[string]struct {
		hosts  int
		silent []int
		change func(*answers)
		want   []string
		states string
	}{
		"one host":    {hosts: 1},
		"three hosts": {hosts: 3},
		"ten hosts":   {hosts: 10},
		"without BFD": {hosts: 3, change: func(a *answers) {
			for i := range a.rows {
				for j := range a.rows[i].Cells {
					a.rows[i].Cells[j].BFD = ""
				}
			}
		}},
		"the path is down both ways": {hosts: 3, change: func(a *answers) { a.path(2, 3, PathDown); a.path(3, 2, PathDown) },
			want: []string{"path h2 h3"}, states: "h2>h3 path-down, h3>h2 path-down"},
		"one end's probes are not answered": {hosts: 3, change: func(a *answers) { a.path(1, 2, PathUp); a.path(3, 2, PathDown) },
			want: []string{"path h3 h2"}, states: "h3>h2 path-down"},
		"the path is down without BFD": {hosts: 3, change: func(a *answers) {
			a.bfd(2, 3, "")
			a.bfd(3, 2, "")
			a.path(2, 3, PathDown)
			a.path(3, 2, PathDown)
		}, want: []string{"path h2 h3"}, states: "h2>h3 path-down, h3>h2 path-down"},
		"only small packets pass one way": {hosts: 3, change: func(a *answers) { a.path(1, 2, PathSmallOnly); a.path(2, 1, PathUp) },
			want: []string{"path-mtu h1 h2"}, states: "h1>h2 small-only"},
		"a path is not known yet": {hosts: 3, change: func(a *answers) { a.path(1, 2, PathUnknown) },
			want: []string{"starting h1 h2"}, states: "h1>h2 starting"},
		"a path of a newer agent's": {hosts: 3, change: func(a *answers) { a.path(1, 2, "sideways") }},
		"a path is down for a reason that is known": {hosts: 3, change: func(a *answers) {
			a.drop(2, 1)
			a.path(1, 2, PathDown)
		}, want: []string{"reverse h2 h1"}, states: "h1>h2 down, h2>h1 missing"},
		"BFD is down, and so is the path": {hosts: 3, change: func(a *answers) {
			for _, p := range [][2]int{{2, 3}, {3, 2}} {
				a.bfd(p[0], p[1], "down")
				a.path(p[0], p[1], PathDown)
			}
		}, want: []string{"down h2 h3"}, states: "h2>h3 lost, h3>h2 lost"},
		"a port is missing at both ends": {hosts: 3, change: func(a *answers) { a.drop(1, 2); a.drop(2, 1) },
			want: []string{"missing h1 h2", "missing h2 h1"}, states: "h1>h2 missing, h2>h1 missing"},
		"the reverse port is missing": {hosts: 3, change: func(a *answers) { a.drop(2, 1); a.bfd(1, 2, "down") },
			want: []string{"reverse h2 h1"}, states: "h1>h2 down, h2>h1 missing"},
		"the reverse port is wanted and not there": {hosts: 3, change: func(a *answers) {
			c := a.cell(2, 1)
			c.Configured, c.BFD = false, ""
			c.Error, c.Do = "the name is taken by port gre42 on br0, which is not gremesh's", "ovs-vsctl del-port br0 gre42"
		}, want: []string{"reverse h2 h1"}, states: "h2>h1 missing"},
		"one way is cut": {hosts: 4, change: func(a *answers) { a.bfd(2, 3, "init"); a.bfd(3, 2, "down") },
			want: []string{"one-way h2 h3"}, states: "h2>h3 lost, h3>h2 down"},
		"the other way is cut": {hosts: 4, change: func(a *answers) { a.bfd(2, 3, "down"); a.bfd(3, 2, "init") },
			want: []string{"one-way h3 h2"}, states: "h2>h3 down, h3>h2 lost"},
		"one way was cut a moment ago": {hosts: 3, change: func(a *answers) { a.bfd(3, 2, "down") },
			want: []string{"one-way h2 h3"}, states: "h2>h3 lost, h3>h2 down"},
		"one way is cut, and the one who does not hear does not answer either": {hosts: 3, silent: []int{3},
			change: func(a *answers) { a.bfd(2, 3, "init") },
			want:   []string{"silent h3 ?", "one-way h2 h3"}, states: "h2>h3 lost, h3>h1 unknown, h3>h2 unknown"},
		"nothing comes from a silent host": {hosts: 3, silent: []int{3}, change: func(a *answers) { a.bfd(2, 3, "down") },
			want: []string{"silent h3 ?", "down h2 h3"}, states: "h2>h3 down, h3>h1 unknown, h3>h2 unknown"},
		"both ways are cut": {hosts: 3, change: func(a *answers) { a.bfd(2, 3, "down"); a.bfd(3, 2, "down") },
			want: []string{"down h2 h3"}, states: "h2>h3 lost, h3>h2 lost"},
		"BFD is coming up": {hosts: 3, change: func(a *answers) { a.bfd(2, 3, "init"); a.bfd(3, 2, "init") },
			want: []string{"starting h2 h3"}, states: "h2>h3 starting, h3>h2 starting"},
		"remote_ip was changed by hand": {hosts: 3, change: func(a *answers) {
			differs(a.cell(1, 2), "options:remote_ip", "10.0.0.9", "192.168.248.140")
			a.bfd(1, 2, "down")
			a.bfd(2, 1, "down")
		}, want: []string{"remote h1 h2"}, states: "h1>h2 wrong, h2>h1 down"},
		"a host moved and another has not heard of it": {hosts: 3, change: func(a *answers) {
			to := netip.MustParseAddr("192.168.248.99")
			a.row(2).Underlay = to
			for _, j := range []int{1, 3} {
				a.cell(2, j).Local = to
			}
			a.cell(1, 2).Remote = to
		}, want: []string{"remote h3 h2"}, states: "h3>h2 wrong"},
		"local_ip is not the host's": {hosts: 3, change: func(a *answers) { a.cell(1, 2).Local = netip.MustParseAddr("192.168.248.99") },
			want: []string{"remote h1 h2"}, states: "h1>h2 wrong"},
		"protected is off": {hosts: 3, change: func(a *answers) {
			c := a.cell(1, 2)
			c.Protected = false
			c.Drift = []drift.Drift{{Object: "port gre43 protected", Is: "false", Should: "true", Commands: []string{"ovs-vsctl set port gre43 protected=true"}}}
		}, want: []string{"unprotected h1 h2"}, states: "h1>h2 unprotected"},
		"a port of others makes a loop": {hosts: 3, change: func(a *answers) {
			a.row(2).Cells = append(a.row(2).Cells, Cell{Port: "gre1", Remote: testHost(3).Underlay, Type: "gre", Key: 7, Foreign: true, Configured: true})
		}, want: []string{"unprotected h2 h3"}, states: "h2>h3 unprotected"},
		"a port of others leads elsewhere and makes a loop": {hosts: 3, change: func(a *answers) {
			a.row(2).Cells = append(a.row(2).Cells, Cell{Port: "gre1", Remote: netip.MustParseAddr("10.0.0.9"), Type: "gre", Foreign: true, Configured: true})
		}, want: []string{"unprotected h2"}},
		"a port of others is protected": {hosts: 3, change: func(a *answers) {
			a.row(2).Cells = append(a.row(2).Cells, Cell{Port: "gre1", Remote: testHost(3).Underlay, Key: 7, Foreign: true, Configured: true, Protected: true})
		}},
		"keys differ": {hosts: 3, change: func(a *answers) { a.cell(2, 3).Key = 7 },
			want: []string{"setting h2 h3"}, states: "h2>h3 wrong"},
		"BFD was switched off by hand": {hosts: 3, change: func(a *answers) {
			differs(a.cell(1, 2), "bfd:enable", "", "true")
			a.bfd(1, 2, "")
			a.bfd(2, 1, "down")
		}, want: []string{"setting h1 h2"}, states: "h1>h2 wrong, h2>h1 down"},
		"Open vSwitch could not make it": {hosts: 3, change: func(a *answers) {
			c := a.cell(1, 2)
			c.Error, c.BFD = "could not add network device (File exists)", ""
		}, want: []string{"error h1 h2"}, states: "h1>h2 error"},
		"MTUs differ": {hosts: 3, change: func(a *answers) { a.row(2).MTU = 1412 }, want: []string{"mtu h2"}},
		"two hosts have one subnet": {hosts: 3, change: func(a *answers) {
			a.row(3).Subnet = testHost(2).Subnet
			a.cell(1, 3).Subnet, a.cell(2, 3).Subnet = testHost(2).Subnet, testHost(2).Subnet
		}, want: []string{"subnet h3"}},
		"a host has another subnet than others think": {hosts: 3, change: func(a *answers) { a.cell(1, 3).Subnet = testHost(9).Subnet },
			want: []string{"subnet h1 h3"}, states: "h1>h3 wrong"},
		"a host has lost its subnet": {hosts: 3, change: func(a *answers) {
			a.peer(3).Cut = true
			a.row(3).Cut, a.row(3).Cells = true, nil
			a.without(3)
		}, want: []string{"cut h3"}, states: "h1>h3 none, h2>h3 none, h3>h1 none, h3>h2 none"},
		"a host's own drift": {hosts: 3, change: func(a *answers) { a.row(3).Drift = 2 }, want: []string{"host h3"}},
		"a host can't see its Open vSwitch": {hosts: 3, change: func(a *answers) {
			a.row(3).Blind, a.row(3).Cells = "no answer", nil
		}, want: []string{"blind h3 ?"}, states: "h3>h1 unknown, h3>h2 unknown"},
		"a host can't see its kernel": {hosts: 3, change: func(a *answers) { a.row(3).Unseen = []string{"no answer"} },
			want: []string{"blind h3 ?"}},
		"an agent does not answer": {hosts: 3, silent: []int{2}, want: []string{"silent h2 ?"},
			states: "h2>h1 unknown, h2>h3 unknown"},
		"a host has failed and keeps its ports": {hosts: 3, change: func(a *answers) { a.peer(3).Liveness = Failed; a.mute(3) },
			want: []string{"failed h3 ?"}, states: "h3>h1 unknown, h3>h2 unknown"},
		"a host has failed and its ports are gone": {hosts: 3, change: func(a *answers) {
			a.peer(3).Liveness = Failed
			a.without(3)
			a.mute(3)
		}, want: []string{"failed h3 ?"}, states: "h1>h3 none, h2>h3 none, h3>h1 unknown, h3>h2 unknown"},
		"a host has failed with its data path": {hosts: 3, change: func(a *answers) {
			a.peer(3).Liveness = Failed
			a.bfd(1, 3, "down")
			a.mute(3)
		}, want: []string{"failed h3 ?"}, states: "h1>h3 down, h3>h1 unknown, h3>h2 unknown"},
		"a host waits for a lease": {hosts: 3, change: func(a *answers) {
			a.peer(3).Subnet, a.row(3).Subnet, a.row(3).Cells = netip.Prefix{}, netip.Prefix{}, nil
			a.without(3)
		}, want: []string{"waiting h3 ?"}, states: "h1>h3 none, h2>h3 none, h3>h1 none, h3>h2 none"},
		"a host left while it was asked":    {hosts: 3, silent: []int{3}, change: func(a *answers) { a.peer(3).Liveness = Left }},
		"a host left after it had answered": {hosts: 3, change: func(a *answers) { a.peer(3).Liveness = Left }},
		"a host left and a port to it is left over": {hosts: 3, change: func(a *answers) {
			a.peer(3).Liveness = Left
			a.mute(3)
			a.cell(2, 3).Desired = false
		}, want: []string{"stray h2"}},
		"a port that should not be there": {hosts: 3, change: func(a *answers) {
			a.row(1).Cells = append(a.row(1).Cells, Cell{Port: "gre99", Remote: testHost(9).Underlay, Name: "h9", Type: "gre", Configured: true, Protected: true})
		}, want: []string{"stray h1"}},
		"a second port to a host": {hosts: 3, change: func(a *answers) {
			c := *a.cell(1, 2)
			c.Port, c.Desired = "gre99", false
			a.row(1).Cells = append(a.row(1).Cells, c)
		}, want: []string{"stray h1"}},
		"a host came while the others were asked": {hosts: 3, change: func(a *answers) {
			a.view.Peers = append(a.view.Peers, testHost(4))
		}, states: "h1>h4 none, h2>h4 none, h3>h4 none, h4>h1 unknown, h4>h2 unknown, h4>h3 unknown"},
		"a host came and one has not heard of it": {hosts: 3, change: func(a *answers) { a.drop(2, 3); a.bfd(3, 2, "down") },
			want: []string{"reverse h2 h3"}, states: "h2>h3 missing, h3>h2 down"}, // until the second look
	} {
		t.Run(name, func(t *testing.T) {
			a := allWell(c.hosts)
			if c.change != nil {
				c.change(a)
			}
			got := a.audit(c.silent...)
			if c.want == nil {
				c.want = []string{}
			}
			if diff := cmp.Diff(c.want, summary(got)); diff != "" {
				t.Errorf("findings (-want +got):\n%s\n%+v", diff, got.Findings)
			}
			if diff := cmp.Diff(c.states, states(got)); diff != "" {
				t.Errorf("tunnels (-want +got):\n%s", diff)
			}
			if n := len(got.Hosts); len(got.Tunnels) != n*(n-1) {
				t.Errorf("%d tunnels between %d hosts", len(got.Tunnels), n)
			}
			for _, f := range got.Findings {
				if f.What == "" || f.Do == "" {
					t.Errorf("it does not say what to do: %+v", f)
				}
			}
		})
	}
}

func TestOnlyWhatIsSeenTwiceIsFound(t *testing.T) {
	joining := allWell(3)
	joining.drop(2, 3)
	joining.bfd(3, 2, "down")
	broken := allWell(3)
	broken.drop(2, 3)
	broken.bfd(3, 2, "init")
	broken.row(1).Drift = 1
	for name, c := range map[string]struct {
		first, second FullAudit
		want          []string
	}{
		"came up meanwhile":          {joining.audit(), allWell(3).audit(), []string{}},
		"has just begun":             {allWell(3).audit(), joining.audit(), []string{}},
		"stays":                      {joining.audit(), broken.audit(), []string{"reverse h2 h3"}},
		"fell silent meanwhile":      {joining.audit(), allWell(3).audit(3), []string{"silent h3 ?"}},
		"was silent and answers now": {allWell(3).audit(3), allWell(3).audit(), []string{}},
	} {
		if got := summary(Confirm(c.first, c.second)); !slices.Equal(got, c.want) {
			t.Errorf("%s: found %q, want %q", name, got, c.want)
		}
	}
	if allWell(3).audit(3).Passing() || allWell(3).audit().Passing() {
		t.Error("a host that does not answer is asked again at once")
	}
	if !joining.audit().Passing() {
		t.Error("a port that is missing may be made a moment later")
	}
}

func TestPairsOnAnotherTypeAreNotedIfBothEndsAgree(t *testing.T) {
	a := allWell(3)
	for i := range a.rows {
		a.rows[i].Type = "gre"
	}
	a.cell(1, 2).Type, a.cell(2, 1).Type = "vxlan", "vxlan"
	audit := a.audit()
	want := []string{"IP protocol 47 (GRE) is filtered between h1 and h2: this pair uses vxlan"}
	if d := cmp.Diff(want, audit.Notes); d != "" || len(audit.Findings) > 0 || audit.Up != 6 {
		t.Errorf("(-want +got)\n%s\n%+v", d, audit.Findings)
	}
	a.cell(2, 1).Type = "gre"
	if audit := a.audit(); len(audit.Notes) > 0 || len(audit.Findings) != 1 || audit.Findings[0].Kind != KindSetting {
		t.Errorf("the ends differ: %+v, %+v", audit.Notes, audit.Findings)
	}
}

// TestTunnelsMadeByHandHaveTheirOwnSign has two hosts whose ports to each other
// were made by hand, and a third with gremesh's.
func TestTunnelsMadeByHandHaveTheirOwnSign(t *testing.T) {
	a := allWell(3)
	for _, pair := range [][2]int{{1, 2}, {2, 1}} {
		c := a.cell(pair[0], pair[1])
		c.Configured, c.Protected, c.BFD, c.RemoteBFD = false, false, "", ""
		c.Error = "port hand on br0, which is not gremesh's, is a gre tunnel already"
		r := a.row(pair[0])
		r.Cells = append(r.Cells, Cell{Port: "hand", Remote: c.Remote, Local: c.Local, Type: "gre", Foreign: true, Configured: true, Protected: true})
	}
	audit := a.audit()
	if audit.ByHand != 2 || audit.Wanted != 6 || audit.Up != 4 {
		t.Errorf("%d by hand, %d of %d up", audit.ByHand, audit.Up, audit.Wanted)
	}
	if audit.Tunnels[0].State != CellForeign || audit.Tunnels[2].State != CellForeign {
		t.Errorf("states are %s and %s", audit.Tunnels[0].State, audit.Tunnels[2].State)
	}
	var found []string
	for _, f := range audit.Findings {
		found = append(found, f.What+": "+f.Do)
	}
	want := []string{
		"h1 has tunnels made by hand (1) where gremesh's should be: on h1: gremesh adopt",
		"h2 has tunnels made by hand (1) where gremesh's should be: on h2: gremesh adopt",
	}
	if d := cmp.Diff(want, found); d != "" {
		t.Error(d)
	}
	a.cell(1, 2).Port = "gre43"
	a.row(1).Cells[len(a.row(1).Cells)-1].Protected = false
	if got := a.audit().Tunnels[0].State; got != CellUnprotected {
		t.Errorf("an unprotected one is %s", got)
	}
}

// A command with a name that two hosts have would be refused, or be run on the
// wrong host.
func TestFindingsTellHostsWithOneNameApart(t *testing.T) {
	a := allWell(4)
	for i := range a.view.Peers {
		if id := a.view.Peers[i].ID; id == testHost(3).ID {
			a.view.Peers[i].Name, a.view.Peers[i].Liveness = "h2", Failed
		}
	}
	a.bfd(2, 4, "down")
	a.bfd(4, 2, "down")
	a.mute(3)
	var texts []string
	for _, f := range a.audit().Findings {
		texts = append(texts, f.What+"; "+f.Do)
	}
	text := strings.Join(texts, "\n")
	for _, want := range []string{
		"h2 (03000000) (192.168.248.141) is not heard of any more; on h2 (03000000): systemctl start gremesh; if it is gone for good: gremesh forget 03000000",
		"nothing passes between h2 (02000000) and h4 either way",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no finding says %q:\n%s", want, text)
		}
	}
}
