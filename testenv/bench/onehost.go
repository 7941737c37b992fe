package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/gremesh/gremesh/testenv"
)

var oneHost = Table{
	Name:  "one host",
	Sizes: "hosts",
	Base:  byHandHosts.name,
	Text: `One host more, and one less: seconds from the start of its agent until it and all peers have their ports,
and from ` + "`gremesh leave`" + ` until the last peer has taken its port away. By hand: a script on the new host and, all at once,
an ovs-vsctl on each peer; none is told by another which subnet is free.`,
	measure: func(ctx context.Context, cfg Config, s *samples) error {
		for _, n := range slices.Compact([]int{cfg.size(10), cfg.size(20)}) {
			for run := range cfg.Runs {
				for _, w := range inTurns(run, visitByAgent, visitByHand) {
					joined, left, err := w.once(ctx, cfg, n)
					if err != nil {
						return fmt.Errorf("host %d, %s: %w", n, w.name, err)
					}
					cfg.Log.Info("one host", "hosts", n, "way", w.name, "run", run+1, "joined", joined, "left", left)
					s.add("one more, to the last port on the last peer", w.name, n, seconds, joined.Seconds())
					s.add("one less, to the last port on the last peer", w.name, n, seconds, left.Seconds())
				}
			}
		}
		return nil
	},
}

// visit is a way in which the last host joins a mesh of all the other hosts and
// leaves it again.
type visit struct {
	name              string
	form, join, leave func(context.Context, *testenv.Lab) error
}

var visitByAgent = visit{
	name: byAgents.name,
	form: func(ctx context.Context, l *testenv.Lab) error {
		return eachPeer(l, func(h *testenv.Host) error { return h.StartAgent(ctx) })
	},
	join: func(ctx context.Context, l *testenv.Lab) error { return last(l).StartAgent(ctx) },
	leave: func(ctx context.Context, l *testenv.Lab) error {
		_, err := last(l).Gremesh(ctx, "leave")
		return err
	},
}

var visitByHand = visit{
	name: byHandHosts.name,
	form: func(ctx context.Context, l *testenv.Lab) error {
		peers := l.Hosts()[:len(l.Hosts())-1]
		return eachPeer(l, func(h *testenv.Host) error { return h.Recipe(ctx, peers...) })
	},
	join: func(ctx context.Context, l *testenv.Lab) error {
		return l.Each(func(h *testenv.Host) error {
			if h == last(l) {
				return h.Recipe(ctx, l.Hosts()...)
			}
			return h.RecipePort(ctx, last(l))
		})
	},
	leave: func(ctx context.Context, l *testenv.Lab) error {
		return eachPeer(l, func(h *testenv.Host) error { return h.RecipeNoPort(ctx, last(l)) })
	},
}

func last(l *testenv.Lab) *testenv.Host { return l.Host(len(l.Hosts())) }

// eachPeer calls f at once for all hosts except the last.
func eachPeer(l *testenv.Lab, f func(*testenv.Host) error) error {
	return l.Each(func(h *testenv.Host) error {
		if h == last(l) {
			return nil
		}
		return f(h)
	})
}

// once measures how long the last host takes to join a mesh of the other hosts
// and to leave it.
func (v visit) once(ctx context.Context, cfg Config, hosts int) (joined, left time.Duration, err error) {
	err = inLab(ctx, cfg, hosts, func(ctx context.Context, l *testenv.Lab, w *watch) error {
		before := (hosts - 1) * (hosts - 2)
		if err := v.form(ctx, l); err != nil {
			return err
		}
		if err := w.wait(ctx, func(t testenv.Tunnels) bool { return t.Up == before }); err != nil {
			return err
		}
		start := time.Now()
		if err := v.join(ctx, l); err != nil {
			return err
		}
		all := hosts * (hosts - 1)
		if err := w.wait(ctx, func(t testenv.Tunnels) bool { return t.Present == all }); err != nil {
			return err
		}
		joined = time.Since(start)
		if err := w.wait(ctx, func(t testenv.Tunnels) bool { return t.Up == all }); err != nil {
			return err
		}
		start = time.Now()
		leaving := make(chan error, 1)
		go func() { leaving <- v.leave(ctx, l) }() // the command may end after the ports are gone
		err := w.wait(ctx, func(testenv.Tunnels) bool { return w.countPeers(l) == before })
		left = time.Since(start)
		return errors.Join(err, <-leaving)
	})
	return joined, left, err
}

// countPeers returns the number of ports on all hosts except the last.
func (w *watch) countPeers(l *testenv.Lab) int {
	n := 0
	for _, h := range l.Hosts() {
		if h != last(l) {
			n += len(w.ports(h))
		}
	}
	return n
}
