package bench

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gremesh/gremesh/mesh"
	"github.com/gremesh/gremesh/mesh/lease"
	"github.com/gremesh/gremesh/ovsdb"
)

// quiet is the time without a finished pass after which the host counts as at
// rest.
const quiet = 1500 * time.Millisecond

// crowd is a fake of gossip. The method know sets its view.
type crowd struct {
	view    atomic.Pointer[mesh.View]
	changed chan struct{}
}

func (c *crowd) know(v mesh.View) {
	c.view.Store(&v)
	c.wake()
}

func (c *crowd) wake() {
	select {
	case c.changed <- struct{}{}:
	default:
	}
}

func (c *crowd) View() mesh.View                    { return *c.view.Load() }
func (c *crowd) Changed() <-chan struct{}           { return c.changed }
func (*crowd) Report(mesh.TunnelCount)              {}
func (*crowd) SetDirectAllowed(bool)                {}
func (*crowd) PublishOffers(map[lease.ID]mesh.Pair) {}
func (*crowd) Renumber(context.Context, netip.Prefix) (netip.Prefix, error) {
	return netip.Prefix{}, errors.New("not here")
}

// passes is a log handler that records the duration of each pass.
type passes struct {
	slog.Handler
	mu    sync.Mutex
	ended []time.Time
	took  []time.Duration
}

func (p *passes) Enabled(context.Context, slog.Level) bool { return true }

func (p *passes) Handle(ctx context.Context, r slog.Record) error {
	if r.Level >= slog.LevelInfo {
		return p.Handler.Handle(ctx, r) // written to the log, as an agent does
	}
	if r.Message != "pass" {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = append(p.ended, r.Time)
	r.Attrs(func(a slog.Attr) bool { p.took = append(p.took, a.Value.Duration()); return false })
	return nil
}

func (p *passes) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.took)
}

func (p *passes) last() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.took[len(p.took)-1]
}

// settled returns the time when the last pass ended. It returns false if a pass
// ended only a short time ago.
func (p *passes) settled() (last time.Time, is bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.ended)
	if n == 0 {
		return last, false
	}
	last = p.ended[n-1]
	return last, time.Since(last) > max(quiet, 3*p.took[n-1]) // another pass may be running
}

// settle waits until the agent is at rest. It returns the time when the last
// pass ended, which is after since. It stores the usage at that time in
// a.spent. It polls rarely, because its own CPU time counts as the agent's.
func (a *agent) settle(since time.Time) (last time.Time, err error) {
	passes := -1
	for began := time.Now(); time.Since(began) < limit; time.Sleep(20 * time.Millisecond) {
		if n := a.log.count(); n != passes {
			passes = n
			if a.spent.agent, a.spent.commands, a.spent.vswitchd, err = a.usage(); err != nil {
				return last, err
			}
		}
		if last, is := a.log.settled(); is && last.After(since) && a.ovs.busy.Load() == 0 {
			return last, nil
		}
	}
	return last, errors.New("the agent does not come to rest")
}

// timed is an Open vSwitch client that records when the changes began and when
// they were complete.
type timed struct {
	*ovsdb.Client
	began, done atomic.Pointer[time.Time]
	applied     atomic.Pointer[time.Time] // by ovs-vswitchd, without the static entries
	busy        atomic.Int32              // number of calls in progress
}

func (t *timed) Apply(ctx context.Context, changes []ovsdb.Change) error {
	t.busy.Add(1)
	defer t.busy.Add(-1)
	began := time.Now()
	t.began.CompareAndSwap(nil, &began)
	err := t.Client.Apply(ctx, changes)
	now := time.Now()
	t.done.Store(&now)
	return err
}

// asAgent measures an agent. All its components except gossip are real.
func asAgent(o *openSwitch, n int) (found []measured, err error) {
	a, err := newAgent(o, config())
	if err != nil {
		return nil, err
	}
	follow, err := followCfg(o.path("db.sock"), &a.ovs.applied)
	if err != nil {
		return nil, err
	}
	defer follow.Close() //nolint:errcheck // nothing was written
	gossip := &crowd{changed: make(chan struct{}, 1)}
	gossip.know(view(0))
	a.start(gossip)
	defer func() { err = errors.Join(err, a.stop()) }()
	if _, err := a.settle(time.Time{}); err != nil { // alone in its mesh
		return nil, err
	}
	some, more := view(n), view(n+1)
	if err := a.step(firstApply, func() { gossip.know(some) }); err != nil {
		return nil, err
	}
	if err := a.rest(gossip); err != nil {
		return nil, err
	}
	if err := a.step(oneMore, func() { gossip.know(more) }); err != nil {
		return nil, err
	}
	return a.found, a.step(oneLess, func() { gossip.know(some) })
}

// step measures the effects of a change of the mesh until the host is at rest.
func (a *agent) step(what string, do func()) error {
	runtime.GC()
	before, commands, vswitchd, err := a.usage()
	if err != nil {
		return err
	}
	a.ovs.began.Store(nil)
	began := time.Now()
	do()
	ended, err := a.settle(began)
	if err != nil {
		return err
	}
	a.found = append(a.found,
		measured{what + untilApplied, "s", a.ovs.applied.Load().Sub(began).Seconds()},
		measured{what + ": until the static entries are made", "s", a.ovs.done.Load().Sub(began).Seconds()},
		measured{what + ": until ovs-vswitchd is told", "s", a.ovs.began.Load().Sub(began).Seconds()},
		measured{what + ": until the routes are there as well", "s", ended.Sub(began).Seconds()},
		measured{what + ": CPU time of the agent", "s", (a.spent.agent.cpu - before.cpu).Seconds()},
		measured{what + ": CPU time of nft and iptables", "s", (a.spent.commands.cpu - commands.cpu).Seconds()},
		measured{what + ": CPU time of ovs-vswitchd", "s", (a.spent.vswitchd.cpu - vswitchd.cpu).Seconds()})
	if what == firstApply {
		a.found = append(a.found,
			measured{"memory of the agent", "MB", a.spent.agent.memory},
			measured{"memory of ovs-vswitchd", "MB", a.spent.vswitchd.memory})
	}
	return nil
}

// rest measures passes that change nothing, one by one. It reports medians,
// because the kernel may still send a notification that makes one of the passes
// read more.
func (a *agent) rest(gossip *crowd) error {
	const often = 20
	var wall, cpu, allocated []float64
	for range often {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		used, _, _, err := a.usage()
		if err != nil {
			return err
		}
		first := a.log.count()
		gossip.wake()
		for began := time.Now(); a.log.count() == first; time.Sleep(time.Millisecond) {
			if time.Since(began) > limit {
				return errors.New("the agent makes no pass")
			}
		}
		since, _, _, err := a.usage()
		if err != nil {
			return err
		}
		runtime.ReadMemStats(&after)
		wall = append(wall, 1000*a.log.last().Seconds())
		cpu = append(cpu, 1000*(since.cpu-used.cpu).Seconds())
		allocated = append(allocated, float64(after.TotalAlloc-before.TotalAlloc)/1024)
	}
	for _, all := range [][]float64{wall, cpu, allocated} {
		slices.Sort(all)
	}
	a.found = append(a.found,
		measured{nothing + ": wall time", "ms", wall[often/2]},
		measured{nothing + ": CPU time of the agent", "ms", cpu[often/2]},
		measured{nothing + ": allocated", "kB", allocated[often/2]})
	return nil
}
