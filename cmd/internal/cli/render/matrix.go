package render

import (
	"fmt"
	"slices"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"

	"github.com/gremesh/gremesh/mesh"
)

// cellGlyph shows the state of a tunnel in the matrix.
type cellGlyph struct {
	state  mesh.CellState
	letter string
	colour text.Color
	words  string
}

func cellGlyphs() []cellGlyph {
	return []cellGlyph{
		{mesh.CellUp, "+", text.FgGreen, "up"},
		{mesh.CellNone, "-", text.Reset, "none, and none is wanted"},
		{mesh.CellUnknown, "?", text.FgYellow, "the host did not tell"},
		{mesh.CellForeign, "F", text.FgYellow, "made by hand"},
		{mesh.CellStarting, "~", text.FgYellow, "coming up"},
		{mesh.CellDown, "d", text.FgRed, "nothing comes back"},
		{mesh.CellSmallOnly, "m", text.FgRed, "up, but only small packets pass"},
		{mesh.CellPathDown, "P", text.FgRed, "tunnel up, path down"},
		{mesh.CellLost, "x", text.FgRed, "sent packets are lost"},
		{mesh.CellUnprotected, "U", text.FgRed, "unprotected"},
		{mesh.CellWrong, "W", text.FgRed, "wrong address or setting"},
		{mesh.CellStray, "S", text.FgRed, "should not be there"},
		{mesh.CellError, "E", text.FgRed, "Open vSwitch's error"},
		{mesh.CellMissing, "M", text.FgRed, "missing"},
	}
}

func glyphOf(state mesh.CellState) cellGlyph {
	all := cellGlyphs()
	if i := slices.IndexFunc(all, func(s cellGlyph) bool { return s.state == state }); i >= 0 {
		return all[i]
	}
	return cellGlyph{state, "?", text.FgYellow, string(state)} // a newer agent sent a state that this version does not know
}

const (
	roomyMatrix = 20 // up to this many hosts, the matrix shows more than the host names
	matrixGroup = 10 // in a larger matrix, the number of columns between two spaces
)

// Mesh formats the output of `gremesh audit --mesh` as text. Each host
// has a row with one sign for its tunnel to each other host. The problems
// follow below.
func Mesh(a mesh.FullAudit, p Styler) string {
	var b strings.Builder
	if n := len(a.Hosts); len(a.Tunnels) == n*(n-1) {
		b.WriteString(matrixTable(a, p) + "\n\n")
		if words := legend(a, p); words != "" {
			b.WriteString(words + "\n\n")
		}
	}
	failed := 0
	for _, h := range a.Hosts {
		if h.State == string(mesh.Failed) {
			failed++
		}
	}
	fmt.Fprintf(&b, "%s, %d of %d directed tunnels up, as each host reports", hostCount(len(a.Hosts)-failed, failed), a.Up, a.Wanted)
	if a.ByHand > 0 {
		fmt.Fprintf(&b, "; %d made by hand (run gremesh adopt)", a.ByHand)
	}
	if len(a.Findings) == 0 {
		b.WriteString(": " + p.in(text.FgGreen, "clean"))
	}
	b.WriteString("\n")
	if a.MostRoundTrip > 0 {
		fmt.Fprintf(&b, "round trip %s, loss %s\n", roundTrips(a.LeastRoundTrip, a.MostRoundTrip), percent(a.Loss))
	}
	for i, f := range a.Findings {
		if i == 0 {
			b.WriteString("\n")
		}
		mark := p.in(text.FgRed, "!")
		if f.Unsure {
			mark = p.in(text.FgYellow, "?")
		}
		fmt.Fprintf(&b, "%s %s\n", mark, f.What)
		if f.Do != "" {
			fmt.Fprintf(&b, "  %s\n", f.Do)
		}
	}
	for i, note := range a.Notes {
		if i == 0 {
			b.WriteString("\n")
		}
		fmt.Fprintf(&b, "- %s\n", note)
	}
	return b.String()
}

func matrixTable(a mesh.FullAudit, p Styler) string {
	n := len(a.Hosts)
	roomy := n <= roomyMatrix
	t := newTable()
	t.SuppressEmptyColumns() // STATE appears only if a host has something to show
	head := table.Row{"", "HOST"}
	if roomy {
		head = append(head, "UNDERLAY", "SUBNET", "MTU")
	}
	t.AppendHeader(append(head, "STATE", matrixHead(n)))
	for i, h := range a.Hosts {
		row := table.Row{i + 1, h.Name}
		if roomy {
			mtu := "-"
			if h.MTU > 0 {
				mtu = fmt.Sprint(h.MTU)
			}
			row = append(row, addrText(h.Underlay), prefixText(h.Subnet), mtu)
		}
		row = append(row, p.state(hostWord(h)), matrixRow(a.Tunnels[i*(n-1):(i+1)*(n-1)], i, p))
		t.AppendRow(row)
	}
	t.SetColumnConfigs([]table.ColumnConfig{{Number: 1, Align: text.AlignRight}})
	return t.Render()
}

// hostWord returns the word in the STATE column, or an empty string if there is
// nothing to show.
func hostWord(h mesh.MatrixHost) string {
	switch {
	case h.State != mesh.Answers:
		return h.State
	case h.Blind != "":
		return "blind"
	case h.Cut:
		return "cut"
	case !h.Subnet.IsValid():
		return "waiting"
	}
	return ""
}

// matrixHead numbers the columns. In a large matrix it numbers only the first
// column of each group.
func matrixHead(n int) string {
	var b strings.Builder
	if n <= roomyMatrix {
		for i := range n {
			fmt.Fprintf(&b, "%2d ", i+1)
		}
		return strings.TrimRight(b.String(), " ")
	}
	for i := 0; i < n; i += matrixGroup {
		fmt.Fprintf(&b, "%-*d", matrixGroup+1, i+1)
	}
	return strings.TrimRight(b.String(), " ")
}

// matrixRow returns the signs of the tunnels from host i, with a dot in the
// host's own column.
func matrixRow(tunnels []mesh.MatrixTunnel, i int, p Styler) string {
	var letters []string
	for _, t := range tunnels {
		s := glyphOf(t.State)
		letters = append(letters, p.in(s.colour, s.letter))
	}
	letters = slices.Insert(letters, i, ".")
	if len(letters) <= roomyMatrix {
		return " " + strings.Join(letters, "  ")
	}
	var groups []string
	for group := range slices.Chunk(letters, matrixGroup) {
		groups = append(groups, strings.Join(group, ""))
	}
	return strings.Join(groups, " ")
}

// legend explains the signs that appear in the matrix.
func legend(a mesh.FullAudit, p Styler) string {
	var words []string
	for _, s := range cellGlyphs() {
		if slices.ContainsFunc(a.Tunnels, func(t mesh.MatrixTunnel) bool { return t.State == s.state }) {
			words = append(words, p.in(s.colour, s.letter)+" "+s.words)
		}
	}
	return strings.Join(words, "   ")
}
