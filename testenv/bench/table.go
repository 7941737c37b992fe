package bench

import (
	"context"
	"log/slog"
)

// Config says how much is measured.
type Config struct {
	Binary  string       // gremesh
	Flannel string       // flanneld, of the ways that need it
	Only    []string     // names of Tables; empty: all
	Sizes   []int        // numbers of hosts of a full mesh
	Runs    int          // of each
	Quick   bool         // one short run of small labs, whatever Sizes and Runs say: to see that all works
	Log     *slog.Logger // progress
}

// size is a number of hosts, few when it has to be quick.
func (c Config) size(hosts int) int {
	if c.Quick {
		return min(hosts, 3)
	}
	return hosts
}

// Table is one part of the report.
type Table struct {
	Name  string // what Config.Only and Series.Table have
	Text  string // what was measured, and how
	Sizes string // what Series.N counts: "hosts"; empty: it is the same everywhere
	Base  string // the way that the others are a ratio of; empty: there is none

	measure func(context.Context, Config, *samples) error
}

// Tables are all that can be measured, in the order of the report.
func Tables() []Table {
	return []Table{fullMesh, oneHost, leases, stampede, switchTunnels, path, pathKernel, rest, restSimulated}
}
