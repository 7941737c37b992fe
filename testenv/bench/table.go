package bench

import (
	"context"
	"log/slog"
)

// Config selects what to measure.
type Config struct {
	Binary  string       // path of gremesh
	Flannel string       // path of flanneld; some ways need it
	Only    []string     // names of Tables; empty: all
	Sizes   []int        // numbers of hosts of a full mesh
	Runs    int          // number of runs of each
	Quick   bool         // one short run of small labs, whatever Sizes and Runs are, to check that everything works
	Log     *slog.Logger // progress
}

// size returns the number of hosts, or at most 3 if the run is quick.
func (c Config) size(hosts int) int {
	if c.Quick {
		return min(hosts, 3)
	}
	return hosts
}

// Table is one part of the report.
type Table struct {
	Name  string // used in Config.Only and Series.Table
	Text  string // what was measured, and how
	Sizes string // the unit of Series.N, such as "hosts"; empty: N is the same everywhere
	Base  string // the way to which the others are compared; empty: none

	measure func(context.Context, Config, *samples) error
}

// Tables returns all tables that can be measured, in the order of the report.
func Tables() []Table {
	return []Table{fullMesh, oneHost, leases, stampede, switchTunnels, path, pathKernel, rest, restSimulated}
}
