package render

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/gremesh/gremesh/mesh"
)

// meshOf is the audit of n hosts in which all is well.
func meshOf(n int) mesh.FullAudit {
	a := mesh.FullAudit{From: "h1", Wanted: n * (n - 1), Up: n * (n - 1)}
	for i := range n {
		a.Hosts = append(a.Hosts, mesh.MatrixHost{State: mesh.Answers, Row: mesh.Row{
			Name: fmt.Sprintf("h%d", i+1), MTU: 1462,
			Underlay: netip.AddrFrom4([4]byte{192, 168, 248, byte(139 + i)}),
			Subnet:   netip.PrefixFrom(netip.AddrFrom4([4]byte{172, 17, byte(42 + i), 0}), 24),
		}})
		for j := range n {
			if i != j {
				a.Tunnels = append(a.Tunnels, mesh.MatrixTunnel{
					From: fmt.Sprintf("h%d", i+1), To: fmt.Sprintf("h%d", j+1), State: mesh.CellUp,
				})
			}
		}
	}
	return a
}

func setCell(a *mesh.FullAudit, from, to int, state mesh.CellState) {
	for i, t := range a.Tunnels {
		if t.From == fmt.Sprintf("h%d", from) && t.To == fmt.Sprintf("h%d", to) {
			a.Tunnels[i].State = state
			a.Up--
		}
	}
}

func troubledMesh(n int) mesh.FullAudit {
	a := meshOf(n)
	setCell(&a, 1, 2, mesh.CellLost)
	setCell(&a, 2, 1, mesh.CellDown)
	a.Findings = append(a.Findings, mesh.Finding{
		Kind: mesh.KindOneWay, From: "h1", To: "h2", What: "one way only: what h1 sends to h2 does not arrive, what h2 sends to h1 does",
		Do: "allow IP protocol 47 (GRE) from 192.168.248.139 to 192.168.248.140 in the firewalls of both and between them",
	})
	if n > 3 {
		setCell(&a, 2, 3, mesh.CellMissing)
		setCell(&a, 3, 2, mesh.CellUnprotected)
		for j := 1; j <= n; j++ {
			setCell(&a, 5, j, mesh.CellUnknown)
		}
		a.Hosts[4].State, a.Hosts[4].MTU = mesh.Silent, 0
		a.Findings = append([]mesh.Finding{{
			Kind: mesh.KindSilent, From: "h5", Unsure: true,
			What: "h5 (192.168.248.143) does not answer; gossip finds it alive", Do: "on h5: journalctl -u gremesh",
		}}, a.Findings...)
	}
	return a
}

func TestTheMatrixReadsWell(t *testing.T) {
	noted := meshOf(3)
	noted.Notes = []string{"IP protocol 47 (GRE) is filtered between h1 and h2: this pair uses vxlan"}
	for name, a := range map[string]mesh.FullAudit{
		"mesh_3_noted.txt":     noted,
		"mesh_alone.txt":       meshOf(1),
		"mesh_3.txt":           meshOf(3),
		"mesh_3_troubled.txt":  troubledMesh(3),
		"mesh_10_troubled.txt": troubledMesh(10),
		"mesh_50_troubled.txt": troubledMesh(50),
		"mesh_many.txt": {
			From: "h1", Hosts: make([]mesh.MatrixHost, 500), Wanted: 249500, Up: 249498,
			Tunnels: make([]mesh.MatrixTunnel, 2), Findings: troubledMesh(3).Findings,
		},
	} {
		t.Run(name, func(t *testing.T) { golden(t, name, Mesh(a, false)) })
	}
}

func TestTheMatrixKeepsItsColumnsInColour(t *testing.T) {
	plain, coloured := Mesh(troubledMesh(10), false), Mesh(troubledMesh(10), true)
	if plain == coloured {
		t.Fatal("there are no colours")
	}
	for _, escape := range []string{"\x1b[32m", "\x1b[31m", "\x1b[33m", "\x1b[0m"} {
		coloured = strings.ReplaceAll(coloured, escape, "")
	}
	if plain != coloured {
		t.Errorf("plain:\n%s\ncoloured:\n%s", plain, coloured)
	}
}

func TestEveryStateHasASign(t *testing.T) {
	letters := make(map[string]mesh.CellState)
	for _, s := range cellGlyphs() {
		if other, taken := letters[s.letter]; taken {
			t.Errorf("%s and %s are both %q", other, s.state, s.letter)
		}
		letters[s.letter] = s.state
	}
	if s := glyphOf("of a newer agent"); s.letter != "?" {
		t.Errorf("a state that is not known is %q", s.letter)
	}
}
