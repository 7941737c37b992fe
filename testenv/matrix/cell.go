package matrix

import (
	"fmt"
	"slices"
	"strings"
)

// Cell is a set of versions with which the tests run.
type Cell struct {
	Name   string
	Suite  string // the Debian release
	Docker string // "": the packaged dockerd; otherwise the version that a dockerd built from source reports
	Flags  string // further flags of each dockerd in a lab
	API    string // the version of Docker's API that the packaged client requests; "": its default
}

// docker29 is the version that the dockerd of dockerd.mod reports. Its module
// has no released version yet. gremesh uses the version to decide what dockerd
// can do.
const docker29 = "29.9.0"

// api29 is the API of Docker 29. It lacks fields that an older client still
// gets.
const api29 = "1.52"

// Cells returns all cells, the oldest versions first.
func Cells() []Cell {
	return []Cell{
		{Name: "trixie", Suite: "trixie"},
		{Name: "sid", Suite: "sid"},
		{Name: "docker29", Suite: "sid", Docker: docker29, API: api29},
		{Name: "docker29-nftables", Suite: "sid", Docker: docker29, API: api29, Flags: "--firewall-backend=nftables"},
	}
}

// Select returns the cells with the given names, in the order of Cells. Without
// names it returns all cells.
func Select(names []string) ([]Cell, error) {
	cells := Cells()
	known := make([]string, len(cells))
	for i, c := range cells {
		known[i] = c.Name
	}
	for _, name := range names {
		if !slices.Contains(known, name) {
			return nil, fmt.Errorf("no cell %q: the cells are %s", name, strings.Join(known, ", "))
		}
	}
	if len(names) == 0 {
		return cells, nil
	}
	return slices.DeleteFunc(cells, func(c Cell) bool { return !slices.Contains(names, c.Name) }), nil
}
