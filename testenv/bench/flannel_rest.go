package bench

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/gremesh/gremesh/testenv"
)

// rest adds samples of what flanneld and etcd use during the given time.
func (o *overlay) rest(ctx context.Context, length time.Duration, s *samples) error {
	for _, h := range o.lab.Hosts() {
		if _, err := h.Exec(ctx, "nft", "add table ip bench; add chain ip bench traffic { type filter hook output priority 0; };"+
			"add rule ip bench traffic tcp dport 2379 counter; add rule ip bench traffic tcp sport 2379 counter"); err != nil {
			return err
		}
	}
	start := time.Now()
	before, err := o.usage(ctx)
	if err != nil {
		return err
	}
	if err := pause(ctx, length); err != nil {
		return err
	}
	after, err := o.usage(ctx)
	if err != nil {
		return err
	}
	took := time.Since(start).Seconds()
	for _, h := range o.lab.Hosts() {
		who := flanneld
		if h == last(o.lab) {
			who = etcdOfAll
		}
		n, a, b := len(o.hosts()), after[h], before[h]
		s.add("CPU", who, n, "% of a core", 100*(a.cpu-b.cpu).Seconds()/took)
		s.add("memory", who, n, "MB", a.memory)
		s.add("sent", who, n, "bytes/s", (a.sent-b.sent)/took)
	}
	return nil
}

// overlayUsage is what the flanneld or etcd of a host has used so far.
type overlayUsage struct {
	used
	sent float64 // bytes, to or from etcd
}

func (o *overlay) usage(ctx context.Context) (map[*testenv.Host]overlayUsage, error) {
	all := map[*testenv.Host]overlayUsage{}
	for _, h := range o.lab.Hosts() {
		process := o.etcd
		if h != last(o.lab) {
			process = o.agents[h]
		}
		u, err := usage(process.Process.Pid)
		if err != nil {
			return nil, err
		}
		sent, err := sentToEtcd(ctx, h)
		if err != nil {
			return nil, err
		}
		all[h] = overlayUsage{u, sent}
	}
	return all, nil
}

func sentToEtcd(ctx context.Context, h *testenv.Host) (sum float64, err error) {
	out, err := h.Exec(ctx, "nft", "list", "chain", "ip", "bench", "traffic")
	if err != nil {
		return 0, err
	}
	for _, found := range counter.FindAllStringSubmatch(out, -1) {
		bytes, err := strconv.ParseFloat(found[1], 64)
		if err != nil {
			return 0, fmt.Errorf("nft lists %q: %w", out, err)
		}
		sum += bytes
	}
	return sum, nil
}
