package mesh

import (
	"cmp"
	"context"
	"slices"

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
	m.judgePaths()
	return m.audit(view.Self.Name)
}

// maxWhole is of how many hosts all tunnels are listed: a million of them are of
// no use to anyone.
const maxWhole = 100

func (m *matrix) audit(from string) FullAudit {
	audit := FullAudit{From: from, Hosts: []MatrixHost{}, Tunnels: []MatrixTunnel{}, Notes: append([]string{}, m.notes...), Findings: m.sorted()}
	m.roundTrips(&audit)
	for i, host := range m.hosts {
		shown := *host
		shown.Cells = nil // they are among the tunnels
		audit.Hosts = append(audit.Hosts, shown)
		for j, to := range m.hosts {
			t := m.tunnels[i][j]
			if i == j {
				continue
			}
			if host.counts() && to.counts() {
				audit.Wanted++
				if t.State == CellUp {
					audit.Up++
				}
			}
			if t.byHand {
				audit.ByHand++
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

	State  CellState
	byHand bool // a port that was made by hand is in its place
	cause  bool // what is wrong with it has been found
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
	named := make(map[string]int)
	for _, host := range m.hosts {
		named[host.Name]++
	}
	for i, host := range m.hosts {
		host.at, host.shared, m.index[host.ID] = i, named[host.Name] > 1, host
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
