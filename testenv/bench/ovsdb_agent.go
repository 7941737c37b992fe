package bench

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/gremesh/gremesh/bridge"
	"github.com/gremesh/gremesh/bridge/docker"
	"github.com/gremesh/gremesh/bridge/masq"
	"github.com/gremesh/gremesh/bridge/process"
	"github.com/gremesh/gremesh/mesh"
	"github.com/gremesh/gremesh/mesh/history"
	"github.com/gremesh/gremesh/mesh/lease"
	"github.com/gremesh/gremesh/ovsdb"
)

// quiet is for how long no pass may end for the host to count as at rest.
const quiet = 1500 * time.Millisecond

// crowd is gossip that knows whomever it is told of.
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

func (c *crowd) View() mesh.View            { return *c.view.Load() }
func (c *crowd) Changed() <-chan struct{}   { return c.changed }
func (*crowd) Report(mesh.TunnelCount)      {}
func (*crowd) Open(bool)                    {}
func (*crowd) Agree(map[lease.ID]mesh.Pair) {}
func (*crowd) Renumber(context.Context, netip.Prefix) (netip.Prefix, error) {
	return netip.Prefix{}, errors.New("not here")
}

// passes is a log that keeps how long each pass took.
type passes struct {
	slog.Handler
	mu    sync.Mutex
	ended []time.Time
	took  []time.Duration
}

func (p *passes) Enabled(context.Context, slog.Level) bool { return true }

func (p *passes) Handle(ctx context.Context, r slog.Record) error {
	if r.Level >= slog.LevelInfo {
		return p.Handler.Handle(ctx, r) // written, as by an agent
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

// settle waits until no pass has ended for a while, and returns when the last
// one did.
func (p *passes) settle(since time.Time) (time.Time, error) {
	for began := time.Now(); time.Since(began) < limit; time.Sleep(time.Millisecond) {
		p.mu.Lock()
		last := time.Time{}
		if n := len(p.ended); n > 0 {
			last = p.ended[n-1]
		}
		p.mu.Unlock()
		if last.After(since) && time.Since(last) > quiet {
			return last, nil
		}
	}
	return time.Time{}, errors.New("the agent does not come to rest")
}

// timed is Open vSwitch, with the time at which it last had what it was told.
type timed struct {
	*ovsdb.Client
	began, applied atomic.Pointer[time.Time]
}

func (t *timed) Apply(ctx context.Context, changes []ovsdb.Change) error {
	began := time.Now()
	t.began.Store(&began)
	err := t.Client.Apply(ctx, changes)
	now := time.Now()
	t.applied.Store(&now)
	return err
}

// agent is the loop with all its real parts, but for gossip.
type agent struct {
	o        *openSwitch
	crowd    *crowd
	ovs      *timed
	log      *passes
	found    []measured
	vswitchd int
}

// asAgent measures what an agent does. All of it is real but for gossip.
func asAgent(o *openSwitch, n int) (found []measured, err error) {
	file, err := os.Create(o.path("agent.log"))
	if err != nil {
		return nil, err
	}
	defer file.Close() //nolint:errcheck // it is removed
	log := &passes{Handler: slog.NewJSONHandler(file, nil)}
	a := &agent{o: o, crowd: &crowd{changed: make(chan struct{}, 1)}, log: log, vswitchd: o.vswitchd.Process.Pid}
	a.crowd.know(view(0))
	cfg, logger := config(), slog.New(log)
	a.ovs = &timed{Client: ovsdb.New(ovsdb.Config{DB: "unix:" + o.path("db.sock"), Bridge: cfg.Switch, StateDir: o.dir, Log: logger})}
	kernel := bridge.New(bridge.Config{Bridge: cfg.Bridge, Port: cfg.Switch, StateDir: o.dir, Log: logger})
	dockerd := docker.New(docker.Config{Path: o.path("daemon.json"), StateDir: o.dir, Log: logger})
	nat := masq.New(logger)
	loop := mesh.NewLoop(mesh.LoopConfig{
		Config: cfg, Membership: a.crowd, Switch: a.ovs, Kernel: kernel, Docker: dockerd, NAT: nat, Masquerade: masq.Inline(masq.Config{}),
		History: history.New(o.dir, logger), Ages: process.Ages, Log: logger, Ready: func() {},
	})
	ctx, cancel := context.WithCancel(context.Background())
	group, ctx := errgroup.WithContext(ctx)
	for _, run := range []func(context.Context) error{a.ovs.Run, kernel.Run, dockerd.Run, nat.Run, loop.Run} {
		group.Go(func() error { return run(ctx) })
	}
	defer func() {
		cancel()
		err = errors.Join(err, group.Wait())
	}()
	if _, err := log.settle(time.Time{}); err != nil { // alone in its mesh
		return nil, err
	}
	if err := a.step(firstApply, func() { a.crowd.know(view(n)) }); err != nil {
		return nil, err
	}
	if err := a.pretendUp(); err != nil {
		return nil, err
	}
	if err := a.rest(); err != nil {
		return nil, err
	}
	if err := a.step(oneMore, func() { a.crowd.know(view(n + 1)) }); err != nil {
		return nil, err
	}
	return a.found, a.step(oneLess, func() { a.crowd.know(view(n)) })
}

// pretendUp has all BFD sessions up, as in a mesh whose hosts exist. ovs-vswitchd
// writes the state only when it changes, and here none does.
func (a *agent) pretendUp() error {
	began := time.Now()
	if err := applyRaw(a.o.path("db.sock"), transaction(object{
		"op": "mutate", "table": "Interface", "where": list{list{"type", "==", "gre"}}, "mutations": list{
			list{"bfd_status", "delete", list{"set", list{"state"}}},
			list{"bfd_status", "insert", omap("state=up")},
		},
	})); err != nil {
		return err
	}
	_, err := a.log.settle(began)
	return err
}

func (a *agent) usage() (agent, vswitchd used, err error) {
	if agent, err = usage(os.Getpid()); err != nil {
		return agent, vswitchd, err
	}
	vswitchd, err = usage(a.vswitchd)
	return agent, vswitchd, err
}

// step measures what follows from a change of the mesh until the host is at rest.
func (a *agent) step(what string, do func()) error {
	runtime.GC()
	before, vswitchd, err := a.usage()
	if err != nil {
		return err
	}
	began := time.Now()
	do()
	ended, err := a.log.settle(began)
	if err != nil {
		return err
	}
	after, vswitchdAfter, err := a.usage()
	if err != nil {
		return err
	}
	a.found = append(a.found,
		measured{what + ": until ovs-vswitchd has applied it", "s", a.ovs.applied.Load().Sub(began).Seconds()},
		measured{what + ": until ovs-vswitchd is told", "s", a.ovs.began.Load().Sub(began).Seconds()},
		measured{what + ": until the routes are there as well", "s", ended.Sub(began).Seconds()},
		measured{what + ": CPU time of the agent", "s", (after.cpu - before.cpu).Seconds()},
		measured{what + ": CPU time of ovs-vswitchd", "s", (vswitchdAfter.cpu - vswitchd.cpu).Seconds()})
	if what == firstApply {
		a.found = append(a.found,
			measured{"memory of the agent", "MB", after.memory},
			measured{"memory of ovs-vswitchd", "MB", vswitchdAfter.memory})
	}
	return nil
}

// rest measures passes in which there is nothing to do.
func (a *agent) rest() error {
	const often = 20
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	used, _, err := a.usage()
	if err != nil {
		return err
	}
	a.log.mu.Lock()
	first := len(a.log.took)
	a.log.mu.Unlock()
	for range often {
		a.crowd.wake()
		time.Sleep(150 * time.Millisecond) // more than the loop waits for more to come
	}
	since, _, err := a.usage()
	if err != nil {
		return err
	}
	runtime.ReadMemStats(&after)
	a.log.mu.Lock()
	defer a.log.mu.Unlock()
	took := a.log.took[first:]
	var sum time.Duration
	for _, d := range took {
		sum += d
	}
	n := float64(len(took))
	a.found = append(a.found,
		measured{nothing + ": wall time", "ms", 1000 * sum.Seconds() / n},
		measured{nothing + ": CPU time of the agent", "ms", 1000 * (since.cpu - used.cpu).Seconds() / n},
		measured{nothing + ": allocated", "kB", float64(after.TotalAlloc-before.TotalAlloc) / 1024 / n})
	return nil
}
