package bench

import "context"

var switchTunnels = Table{
	Name:  "ovsdb",
	Sizes: "peers",
	Base:  wayRaw,
	Text: `One host with many peers: what its agent does to Open vSwitch, beside one raw transaction of the same content,
which is the least that any program can take, and ovs-vsctl.`,
	measure: func(ctx context.Context, cfg Config, s *samples) error {
		sizes := []int{1000, 5000}
		if cfg.Quick {
			sizes = []int{20}
		}
		all, err := OVSDB(ctx, sizes, cfg.Runs)
		s.series = all
		return err
	},
}
