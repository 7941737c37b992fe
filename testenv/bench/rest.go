package bench

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/gremesh/gremesh/testenv"
)

const (
	vswitchd  = "ovs-vswitchd"
	flanneld  = "flanneld"
	etcdOfAll = "etcd, one for all"

	restSettle = 20 * time.Second // wait after BFD is up, until the effects of forming the mesh have ended
	restTime   = time.Minute
)

var rest = Table{
	Name:  "agent at rest",
	Sizes: "hosts",
	Base:  flanneld,
	Text: `A minute of a full mesh in which nothing happens. Beside it the ovs-vswitchd of the same host, which keeps BFD up
on the tunnels; and, in the same minute, flannel's overlay of as many hosts, as in the first table, with its etcd. A
sample is a host. CPU is of one core, from the threads' schedstat. Sent is what gossip sends to its port, 7946, from IP's
header on; ovs-vswitchd's is what it sends in GRE, and flannel's what goes to etcd and comes from it.`,
	measure: func(ctx context.Context, cfg Config, s *samples) error {
		n, settle, length := cfg.size(10), restSettle, restTime
		if cfg.Quick {
			settle, length = 0, time.Second
		}
		return inLab(ctx, cfg, n, func(ctx context.Context, l *testenv.Lab, w *watch) error {
			if err := l.StartAgents(ctx); err != nil {
				return err
			}
			if err := w.wait(ctx, func(t testenv.Tunnels) bool { return t.Up == n*(n-1) }); err != nil {
				return err
			}
			watch := func(ctx context.Context) error {
				cfg.Log.Info("agent at rest", "hosts", n, "for", length)
				if err := pause(ctx, settle); err != nil {
					return err
				}
				return restOf(ctx, l, length, s)
			}
			if err := overlayMissing(cfg); err != nil {
				s.note = "flannel was not measured: " + err.Error() + "."
				return watch(ctx)
			}
			return inOverlay(ctx, cfg, n, func(ctx context.Context, o *overlay) error {
				if _, err := o.form(ctx); err != nil {
					return err
				}
				var both errgroup.Group
				flannels := samples{table: s.table}
				both.Go(func() error { return watch(ctx) })
				both.Go(func() error {
					if err := pause(ctx, settle); err != nil {
						return err
					}
					return o.rest(ctx, length, &flannels)
				})
				err := both.Wait()
				s.series = append(s.series, flannels.series...)
				return err
			})
		})
	},
}

// restOf adds samples of what all hosts use during the given time.
func restOf(ctx context.Context, l *testenv.Lab, length time.Duration, s *samples) error {
	if err := l.CountSent(ctx); err != nil {
		return err
	}
	start := time.Now()
	before, err := usageOfAll(ctx, l)
	if err != nil {
		return err
	}
	if err := pause(ctx, length); err != nil {
		return err
	}
	after, err := usageOfAll(ctx, l)
	if err != nil {
		return err
	}
	took := time.Since(start).Seconds()
	n := len(l.Hosts())
	for _, h := range l.Hosts() {
		a, b := after[h], before[h]
		s.add("CPU", byAgents.name, n, "% of a core", 100*(a.agent.cpu-b.agent.cpu).Seconds()/took)
		s.add("CPU", vswitchd, n, "% of a core", 100*(a.vswitchd.cpu-b.vswitchd.cpu).Seconds()/took)
		s.add("memory", byAgents.name, n, "MB", a.agent.memory)
		s.add("memory", vswitchd, n, "MB", a.vswitchd.memory)
		s.add("sent", byAgents.name, n, "bytes/s", float64(a.sent.Gossip-b.sent.Gossip)/took)
		s.add("sent", vswitchd, n, "bytes/s", float64(a.sent.Tunnel-b.sent.Tunnel)/took)
	}
	return nil
}

// hostUsage is what a host has used so far.
type hostUsage struct {
	agent, vswitchd used
	sent            testenv.Sent
}

func usageOfAll(ctx context.Context, l *testenv.Lab) (map[*testenv.Host]hostUsage, error) {
	sent, err := l.Sent(ctx)
	if err != nil {
		return nil, err
	}
	all := map[*testenv.Host]hostUsage{}
	for _, h := range l.Hosts() {
		u := hostUsage{sent: sent[h]}
		pid, err := h.AgentPID()
		if err != nil {
			return nil, err
		}
		if u.agent, err = usage(pid); err != nil {
			return nil, err
		}
		if u.vswitchd, err = usageOfSwitch(h); err != nil {
			return nil, err
		}
		all[h] = u
	}
	return all, nil
}

func usageOfSwitch(h *testenv.Host) (used, error) {
	pid, err := pidOfSwitch(h)
	if err != nil {
		return used{}, err
	}
	return usage(pid)
}

func pidOfSwitch(h *testenv.Host) (int, error) {
	text, err := os.ReadFile(filepath.Join(h.Dir, "ovs", "ovs-vswitchd.pid"))
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(text)))
}

// pause waits for d, in measurements whose length is fixed. It returns early
// with an error if ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}
