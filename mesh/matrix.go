package mesh

import (
	"cmp"
	"context"
	"slices"

	"github.com/gremesh/gremesh/mesh/lease"
)

// Surveyor asks all alive hosts for their rows.
type Surveyor interface {
	Survey(context.Context) (Survey, error)
}

// Survey is the result of asking the hosts: the rows of those that answered in
// time.
type Survey struct {
	Asked []lease.ID
	Rows  []Row
}

// Matrix combines the reports of the hosts with the view of the host that
// asked.
//
// The caller must take the view after the survey. A host that left in the
// meantime is then absent from the matrix, and not reported as silent. A host
// that joined in the meantime was not asked; it is shown, but not checked.
//
// The rows are from slightly different times, and hosts learn of a new host one
// after the other. Therefore a finding may be about a change in progress. See
// [Confirm].
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

// maxWhole is the largest number of hosts for which all tunnels are listed.
// Nobody can use a list of a million tunnels.
const maxWhole = 100

func (m *matrix) audit(from string) FullAudit {
	audit := FullAudit{From: from, Hosts: []MatrixHost{}, Tunnels: []MatrixTunnel{}, Notes: append([]string{}, m.notes...), Findings: m.sorted()}
	m.roundTrips(&audit)
	for i, host := range m.hosts {
		shown := *host
		shown.Cells = nil // the list of tunnels has them
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

// matrix holds the matrix while it is computed.
type matrix struct {
	hosts    []*MatrixHost
	index    map[lease.ID]*MatrixHost
	tunnels  [][]tunnel // by the index of the host it leads from, and the host it leads to
	findings []located
	notes    []string
}

// tunnel holds one directed tunnel while the matrix is computed. It must stay
// small because there may be a million of them.
type tunnel struct {
	*Cell // of the row, or an empty one

	State  CellState
	byHand bool // a manually created port is in its place
	cause  bool // the fault of this tunnel has been found
}

func (m *matrix) tunnel(from, to *MatrixHost) *tunnel { return &m.tunnels[from.at][to.at] }

// leads returns the tunnel that a cell is about; nil if it leads out of the
// mesh.
func (m *matrix) leads(from *MatrixHost, c *Cell) *tunnel {
	to := m.index[c.Peer]
	if to == nil || to == from {
		return nil
	}
	return m.tunnel(from, to)
}

// located is a finding with its position in the matrix, used for sorting.
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
		// The host that lost a conflict may not have learned of it yet.
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
			if t != nil && !c.Foreign && (t.Port == "" || c.Desired) { // if there are two ports, use the desired one
				t.Cell = c
			}
		}
	}
	return m
}

// own adds a finding about a host.
func (m *matrix) own(host *MatrixHost, kind string, unsure bool, what, do string) {
	f := Finding{Kind: kind, From: host.Name, What: what, Do: do, Unsure: unsure}
	m.findings = append(m.findings, located{f, host.at, -1})
}

// between adds a finding about the tunnel from one host to another, and sets
// the state of that tunnel.
func (m *matrix) between(from, to *MatrixHost, kind string, state CellState, what, do string) {
	f := Finding{Kind: kind, From: from.Name, To: to.Name, What: what, Do: do}
	m.findings = append(m.findings, located{f, from.at, to.at})
	t := m.tunnel(from, to)
	t.State, t.cause = state, true
}

func (m *matrix) sorted() []Finding {
	slices.SortStableFunc(m.findings, func(a, b located) int {
		own := func(f located) int { return min(f.to, 0) } // -1 for findings about hosts, which come before those about tunnels
		return cmp.Or(cmp.Compare(own(a), own(b)), cmp.Compare(a.from, b.from), cmp.Compare(a.to, b.to))
	})
	found := make([]Finding, 0, len(m.findings))
	for _, f := range m.findings {
		found = append(found, f.Finding)
	}
	return found
}
