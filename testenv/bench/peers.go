package bench

import (
	"context"
)

var switchTunnels = Table{
	Name:  "many peers",
	Sizes: "peers",
	Base:  wayRaw,
	Text: `One host with many peers: what its agent does to Open vSwitch, beside one raw transaction of the same content,
which is the least that any program can take, and ovs-vsctl. The static entries of br0's forwarding table, which only gremesh makes,
are no part of the transaction: ovs-vswitchd is asked for each when it has applied that. CPU time is until the agent's last pass has
ended, or 0.2 s after ovs-vswitchd has applied what the others write.`,
	measure: func(ctx context.Context, cfg Config, s *samples) error {
		sizes := []int{1000, 5000}
		if cfg.Quick {
			sizes = []int{20}
		}
		return s.take(OVSDB(ctx, sizes, min(cfg.Runs, 3)))
	},
}

// take adds Series of another measurement to this table. If there was an error,
// it adds the Series until then and returns the error.
func (s *samples) take(found []Series, err error) error {
	for _, f := range found {
		f.Table = s.table
		s.series = append(s.series, f)
	}
	return err
}
