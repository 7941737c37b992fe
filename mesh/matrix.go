package mesh

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/gremesh/gremesh/mesh/lease"
)

// Surveyor asks the hosts that are alive for their rows.
type Surveyor interface {
	Survey(context.Context) (Survey, error)
}

// Survey is what came of asking: the answers of those who gave one in time.
type Survey struct {
	Asked []lease.ID
	Rows  []Row
}

// FullAudit is the matrix of the directed tunnels of a mesh, and what is wrong
// with them, as `gremesh audit --mesh` prints it.
type FullAudit struct {
	From     string         `json:"from"` // the host that asked
	Time     time.Time      `json:"time"`
	Hosts    []MatrixHost   `json:"hosts"`    // sorted by underlay address
	Wanted   int            `json:"wanted"`   // tunnels that there should be
	Up       int            `json:"up"`       // tunnels that are as they should be, and carry packets
	Tunnels  []MatrixTunnel `json:"tunnels"`  // n(n-1), all from the first host, all from the second; of more than 100 hosts only those that are not up
	Notes    []string       `json:"notes"`    // what is well, but not as usual: pairs whose tunnel had to be of another type
	Findings []Finding      `json:"findings"` // sorted as the tunnels are, the hosts' own first; empty: clean
}

// MatrixHost is one host, by its own account where it has answered.
type MatrixHost struct {
	Row
	State string `json:"state"` // answers, silent, failed, new

	at int // its place in the matrix
}

// States of a host in the matrix.
const (
	Answers = "answers"
	Silent  = "silent" // alive for gossip, but it did not answer in time
	New     = "new"    // joined while the others were being asked
)

// MatrixTunnel is what there is from one host to another.
type MatrixTunnel struct {
	From  string    `json:"from"`
	To    string    `json:"to"`
	State CellState `json:"state"`
	Cell
}

// CellState is how a directed tunnel is, in one word.
type CellState string

// From the best to the worst that can be said of a tunnel.
const (
	CellUp          CellState = "up"
	CellNone        CellState = "none"        // there should be none, and there is none
	CellUnknown     CellState = "unknown"     // the host where it begins has not told
	CellStarting    CellState = "starting"    // the two ends are agreeing
	CellDown        CellState = "down"        // it is made, but nothing comes back
	CellLost        CellState = "lost"        // what is sent this way does not arrive
	CellUnprotected CellState = "unprotected" // a loop of broadcasts
	CellWrong       CellState = "wrong"       // an address or another setting is wrong
	CellStray       CellState = "stray"       // there should be none
	CellError       CellState = "error"       // Open vSwitch could not make it
	CellMissing     CellState = "missing"
)

// Finding is one thing that is wrong.
type Finding struct {
	Kind   string `json:"kind"`         // see the Kind constants
	From   string `json:"from"`         // the host whose it is, or where the tunnel begins
	To     string `json:"to,omitempty"` // where the tunnel leads
	What   string `json:"what"`
	Do     string `json:"do,omitempty"`
	Unsure bool   `json:"unsure"` // it keeps from judging, and is no drift itself
}

// Kinds of findings.
const (
	KindSilent      = "silent"      // a host does not answer
	KindFailed      = "failed"      // gossip has given a host up
	KindBlind       = "blind"       // a host can't see a part of itself
	KindWaiting     = "waiting"     // a host holds no lease
	KindCut         = "cut"         // a host has lost its subnet
	KindHost        = "host"        // a host's own drift, beside its tunnels
	KindSubnet      = "subnet"      // hosts don't agree on a subnet
	KindMTU         = "mtu"         // a host's MTU is not that of most
	KindMissing     = "missing"     // a tunnel is missing
	KindReverse     = "reverse"     // a tunnel is missing, and the one the other way is there
	KindRemote      = "remote"      // a tunnel leads to a wrong address
	KindUnprotected = "unprotected" // a tunnel makes a loop
	KindSetting     = "setting"     // a tunnel differs otherwise
	KindStray       = "stray"       // a tunnel that should not be there
	KindError       = "error"       // Open vSwitch could not make a tunnel
	KindOneWay      = "one-way"     // packets pass one way only
	KindDown        = "down"        // packets pass neither way
	KindStarting    = "starting"    // BFD is not up yet
)

// Matrix joins what the hosts say of themselves with what the one that asked
// knows. The view is to be taken after the survey: a host that has left
// meanwhile is not silent, it is not there; and one that has come and was not
// asked is shown and not judged.
//
// Rows are of slightly different times, and hosts hear of a newcomer one after
// the other: a finding may be about a change under way. See [Confirm].
func Matrix(view View, survey Survey) FullAudit {
	m := newMatrix(view, survey)
	m.judgeHosts()
	for _, from := range m.hosts {
		for _, to := range m.hosts {
			if from != to {
				m.judgeTunnel(from, to)
			}
		}
		m.judgeStrays(from)
	}
	m.judgePackets()
	return m.audit(view.Self.Name)
}

// maxWhole is of how many hosts all tunnels are listed: a million of them are of
// no use to anyone.
const maxWhole = 100

func (m *matrix) audit(from string) FullAudit {
	audit := FullAudit{From: from, Hosts: []MatrixHost{}, Tunnels: []MatrixTunnel{}, Notes: append([]string{}, m.notes...), Findings: m.sorted()}
	for i, host := range m.hosts {
		shown := *host
		shown.Cells = nil // they are among the tunnels
		audit.Hosts = append(audit.Hosts, shown)
		for j, to := range m.hosts {
			t := m.tunnels[i][j]
			if i == j {
				continue
			}
			if t.Desired || t.State == CellMissing {
				audit.Wanted++
			}
			if t.State == CellUp {
				audit.Up++
			}
			if len(m.hosts) <= maxWhole || t.State != CellUp && t.State != CellNone {
				shown := MatrixTunnel{From: host.Name, To: to.Name, State: t.State, Cell: *t.Cell}
				shown.Peer = to.ID
				audit.Tunnels = append(audit.Tunnels, shown)
			}
		}
	}
	return audit
}

// Confirm is what two looks at the mesh have in common, some time apart: what
// was mended meanwhile, or came up, is left out, and so is what has just begun.
// The second look's hosts and tunnels stand. Who could not be judged at the
// second look could not be judged.
func Confirm(first, second FullAudit) FullAudit {
	type key struct{ kind, from, to string }
	seen := make(map[key]bool)
	for _, f := range first.Findings {
		seen[key{f.Kind, f.From, f.To}] = true
	}
	kept := second.Findings
	second.Findings = []Finding{}
	for _, f := range kept {
		if f.Unsure || seen[key{f.Kind, f.From, f.To}] {
			second.Findings = append(second.Findings, f)
		}
	}
	return second
}

// Passing reports whether something that was found may be a change under way,
// so that another look is worthwhile. A host that does not answer is not asked
// again for that alone.
func (a FullAudit) Passing() bool {
	return slices.ContainsFunc(a.Findings, func(f Finding) bool {
		return f.Kind != KindSilent && f.Kind != KindFailed && f.Kind != KindWaiting
	})
}

// matrix is one while it is made.
type matrix struct {
	hosts    []*MatrixHost
	index    map[lease.ID]*MatrixHost
	tunnels  [][]tunnel // by the places of from and to
	findings []located
	notes    []string
}

// tunnel is one while the matrix is made; a million of them must be small.
type tunnel struct {
	*Cell // of the row, or an empty one

	State CellState
	cause bool // what is wrong with it has been found
}

func (m *matrix) tunnel(from, to *MatrixHost) *tunnel { return &m.tunnels[from.at][to.at] }

// leads is the tunnel that a cell is about; nil when it leads out of the mesh.
func (m *matrix) leads(from *MatrixHost, c *Cell) *tunnel {
	to := m.index[c.Peer]
	if to == nil || to == from {
		return nil
	}
	return m.tunnel(from, to)
}

// located is a finding with its place in the matrix, to sort by.
type located struct {
	Finding
	from, to int
}

func newMatrix(view View, survey Survey) *matrix {
	m := &matrix{index: make(map[lease.ID]*MatrixHost)}
	rows, asked := make(map[lease.ID]Row), make(map[lease.ID]bool)
	for _, id := range append(survey.Asked, view.Self.ID) {
		asked[id] = true
	}
	for _, row := range survey.Rows {
		rows[row.ID] = row
	}
	for _, h := range append([]Host{view.Self}, view.Peers...) {
		row, answered := rows[h.ID]
		host := &MatrixHost{Row: row, State: Answers}
		if !answered {
			host.Row = Row{ID: h.ID, Name: h.Name, Underlay: h.Underlay, Subnet: h.Subnet, Cut: h.Cut}
		}
		switch {
		case h.Liveness == Left, h.Liveness == Failed && !h.Subnet.IsValid():
			continue
		case h.Liveness == Failed:
			host.State = string(Failed)
		case answered:
		case asked[h.ID]:
			host.State = Silent
		default:
			host.State = New
		}
		// The loser of a conflict may not have heard of it yet.
		host.Cut = host.Cut || h.Cut
		m.hosts = append(m.hosts, host)
	}
	slices.SortFunc(m.hosts, func(a, b *MatrixHost) int {
		return cmp.Or(a.Underlay.Compare(b.Underlay), a.ID.Compare(b.ID))
	})
	for i, host := range m.hosts {
		host.at, m.index[host.ID] = i, host
	}
	var empty Cell
	for _, from := range m.hosts {
		state := CellUnknown
		if from.State == Answers && from.Blind == "" {
			state = CellNone
		}
		row := make([]tunnel, len(m.hosts))
		for j := range row {
			row[j] = tunnel{Cell: &empty, State: state}
		}
		m.tunnels = append(m.tunnels, row)
		for i := range from.Cells {
			c := &from.Cells[i]
			t := m.leads(from, c)
			if t != nil && !c.Foreign && (t.Port == "" || c.Desired) { // of two, the one that should be there
				t.Cell = c
			}
		}
	}
	return m
}

// own is a finding about a host.
func (m *matrix) own(host *MatrixHost, kind string, unsure bool, what, do string) {
	f := Finding{Kind: kind, From: host.Name, What: what, Do: do, Unsure: unsure}
	m.findings = append(m.findings, located{f, host.at, -1})
}

// between is a finding about the tunnel from one host to another, and makes the
// tunnel what it says of it.
func (m *matrix) between(from, to *MatrixHost, kind string, state CellState, what, do string) {
	f := Finding{Kind: kind, From: from.Name, To: to.Name, What: what, Do: do}
	m.findings = append(m.findings, located{f, from.at, to.at})
	t := m.tunnel(from, to)
	t.State, t.cause = state, true
}

func (m *matrix) sorted() []Finding {
	slices.SortStableFunc(m.findings, func(a, b located) int {
		own := func(f located) int { return min(f.to, 0) } // -1 for a host's, before those of tunnels
		return cmp.Or(cmp.Compare(own(a), own(b)), cmp.Compare(a.from, b.from), cmp.Compare(a.to, b.to))
	})
	found := make([]Finding, 0, len(m.findings))
	for _, f := range m.findings {
		found = append(found, f.Finding)
	}
	return found
}
