package bench

import (
	"context"
	"time"
)

var switchTunnels = Table{
	Name:  "many peers",
	Sizes: "peers",
	Base:  wayRaw,
	Text: `One host with many peers: what its agent does to Open vSwitch, beside one raw transaction of the same content,
which is the least that any program can take, and ovs-vsctl.`,
	measure: func(ctx context.Context, cfg Config, s *samples) error {
		sizes := []int{1000, 5000}
		if cfg.Quick {
			sizes = []int{20}
		}
		return s.take(OVSDB(ctx, sizes, min(cfg.Runs, 3)))
	},
}

var restSimulated = Table{
	Name:  "agent at rest, simulated peers",
	Sizes: "hosts",
	Text: `The same with one agent, and with all other hosts simulated by one process that gossips for them; BFD is off.
There is nothing to run in turn with it: the numbers of hosts are to be compared. With 1,000 hosts theirs takes two processors whole, and the agent starves.`,
	measure: func(ctx context.Context, cfg Config, s *samples) error {
		sizes, length := []int{100, 300}, time.Minute
		if cfg.Quick {
			sizes, length = []int{3}, time.Second
		}
		return s.take(Rest(ctx, sizes, 1, length))
	},
}

// take takes what was measured elsewhere into this table, also what was until an
// error.
func (s *samples) take(found []Series, err error) error {
	for _, f := range found {
		f.Table = s.table
		s.series = append(s.series, f)
	}
	return err
}
