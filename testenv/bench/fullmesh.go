package bench

import (
	"context"
	"fmt"
	"slices"
)

const (
	seconds   = "s"
	atPresent = "all ports, or routes, present"
	atUp      = "BFD up on all"
	atPinged  = "every docker0 pinged by every host"
)

var fullMesh = Table{
	Name:  "full mesh",
	Sizes: "hosts",
	Base:  byHandHosts.name,
	Text: `Seconds from the start of all agents at once, on hosts that never had one, until all n·(n−1) GRE ports are
there, until BFD is up on all of them, and until every docker0 has answered every other host. By hand: from the first
command, by a shell script on each host, all at once; and the same host after host. Open vSwitch runs already. Hosts
have no Docker: it would be restarted in both cases. Each run has a lab of its own. flannel: an overlay of the kernel's
VXLAN devices. An etcd runs already on a host of its own and has the network's configuration; from the start of all
flanneld at once (` + "`--iface eth0 --etcd-endpoints http://ETCD:2379 --subnet-file FILE --ip-masq=false`" + `) until all n·(n−1)
routes are there, and until every docker0, which is made when flanneld has written its subnet, has answered every
other host; there is neither Open vSwitch nor BFD in it. A flanneld that ends, as where two have drawn one subnet in
the same instant, is started again at once.`,
	measure: func(ctx context.Context, cfg Config, s *samples) error {
		ways := []former{byAgents, byHandHosts, byHand, byOverlay}
		if err := overlayMissing(cfg); err != nil {
			ways = ways[:3]
			s.note = "flannel was not measured: " + err.Error() + "."
		}
		for _, n := range cfg.Sizes {
			for run := range cfg.Runs {
				for _, f := range inTurns(run, ways...) {
					took, err := f.once(ctx, cfg, n)
					if err != nil {
						return fmt.Errorf("%d hosts, %s: %w", n, f.name, err)
					}
					cfg.Log.Info("full mesh", "hosts", n, "way", f.name, "run", run+1,
						"present", took.present, "up", took.up, "pinged", took.pinged)
					s.add(atPresent, f.name, n, seconds, took.present.Seconds())
					if took.up > 0 {
						s.add(atUp, f.name, n, seconds, took.up.Seconds())
					}
					s.add(atPinged, f.name, n, seconds, took.pinged.Seconds())
				}
			}
		}
		return nil
	},
}

// inTurns returns the ways in the order of a run. Each run starts with a
// different way.
func inTurns[T any](run int, ways ...T) []T {
	first := run % len(ways)
	return slices.Concat(ways[first:], ways[:first])
}

var leases = Table{
	Name:  "leases",
	Sizes: "hosts",
	Base:  byHandHosts.name,
	Text: `Hosts that start in the same instant and know of each other nothing but the first one's address: seconds
until each has a subnet of its own, on its docker0 and known to all others (every docker0 has answered every other
host). By hand, subnets were dealt out by a person before the clock started.`,
	measure: func(ctx context.Context, cfg Config, s *samples) error {
		n := cfg.size(8)
		for run := range cfg.Runs {
			for _, f := range inTurns(run, byAgents, byHandHosts) {
				took, err := f.once(ctx, cfg, n)
				if err != nil {
					return fmt.Errorf("%d hosts, %s: %w", n, f.name, err)
				}
				cfg.Log.Info("leases", "hosts", n, "way", f.name, "run", run+1, "pinged", took.pinged)
				s.add("a docker0 of its own on each", f.name, n, seconds, took.pinged.Seconds())
			}
		}
		return nil
	},
}
