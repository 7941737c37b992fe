package bench

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/gremesh/gremesh/testenv"
)

const recipePath = "recipe by hand"

var path = Table{
	Name: "data path, userspace",
	Base: recipePath,
	Text: `Between containers of two hosts on Open vSwitch's userspace datapath, where each packet, tunnelled or
not, passes each host's ovs-vswitchd: direct saves the tunnel's header, and not that. ` + pathText,
	measure: func(ctx context.Context, cfg Config, s *samples) error {
		return measurePaths(ctx, cfg, s, "netdev", []way{
			{name: recipePath, form: (*testenv.Lab).RecipeAtOnce, mtu: greMTU},
			{name: "gremesh, route: per-peer (default)"},
			{name: "gremesh, route: aggregate, flood: on", settings: map[string]any{"route": "aggregate", "flood": "on"}},
			{name: "gremesh, direct: same-subnet", settings: map[string]any{"direct": "same-subnet"}},
			{name: "gremesh, tunnel.type: vxlan", settings: map[string]any{"tunnel.type": "vxlan"}},
		})
	},
}

// greMTU is what GRE leaves of 1500 bytes. The recipe does not mention it, and
// without it no packet of full size arrives.
const greMTU = 1462

// pathText is about all data paths.
const pathText = "By hand, the containers' MTU has been set to 1462, as gremesh does; without that TCP gets nothing through." +
	" Commands: `iperf3 -c ADDRESS`; `iperf3 -c ADDRESS -u -l 64 -b 0`, of which the packets received count;" +
	" `ping -f -c 2000`, mean."

// pathRounds are many and short: a slow moment of the machine is then in few of
// them.
const pathRounds = 15

// way is one kind of data path, in a lab of its own.
type way struct {
	name     string
	settings map[string]any                            // of the agents
	form     func(*testenv.Lab, context.Context) error // instead of agents
	mtu      int                                       // of the containers, where no agent has Docker set it
	bare     bool                                      // between the hosts themselves, of the lab of the way before
}

// ends is a way that is there.
type ends struct {
	way
	lab      *testenv.Lab
	from, to testenv.End
}

// measurePaths makes all ways and measures each many times for a short time, in
// turns: what else the machine does then is the same for all.
func measurePaths(ctx context.Context, cfg Config, s *samples, datapath string, ways []way) (err error) {
	rounds := max(pathRounds, cfg.Runs)
	if cfg.Quick {
		rounds, ways = 1, ways[:2]
	}
	var all []*ends
	var lab *testenv.Lab // of the way before
	for _, w := range ways {
		if !w.bare {
			lab, err = testenv.New(ctx, testenv.Config{Hosts: 2, Docker: true, Datapath: datapath, Binary: cfg.Binary})
			if err != nil {
				return fmt.Errorf("%s: %w", w.name, err)
			}
			defer func(l *testenv.Lab) { err = errors.Join(err, l.Close()) }(lab)
		}
		e := &ends{way: w, lab: lab}
		all = append(all, e)
		if err := e.up(ctx); err != nil {
			return fmt.Errorf("%s: %w", w.name, err)
		}
		cfg.Log.Info("data path is up", "datapath", datapath, "way", w.name)
	}
	for round := range rounds {
		for _, e := range inTurns(round, all...) {
			if err := e.measure(ctx, s); err != nil {
				return fmt.Errorf("%s: %w", e.name, err)
			}
		}
		cfg.Log.Info("data path", "datapath", datapath, "round", round+1, "of", rounds)
	}
	return nil
}

// up makes the path, with a container on each host.
func (e *ends) up(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, formTime, fmt.Errorf("not within %s", formTime))
	defer cancel()
	if err := e.connect(ctx); err != nil {
		return err
	}
	e.from, e.to = e.lab.Host(1).End(), e.lab.Host(2).End()
	if !e.bare {
		for i, end := range []*testenv.End{&e.from, &e.to} {
			h := e.lab.Host(i + 1)
			if _, err := h.RunContainer(ctx, "c1"); err != nil {
				return err
			}
			var err error
			if *end, err = h.Container(ctx, "c1"); err != nil {
				return err
			}
			if e.mtu > 0 {
				if err := end.Command(ctx, "ip", "link", "set", "eth0", "mtu", strconv.Itoa(e.mtu)).Run(); err != nil {
					return fmt.Errorf("MTU of a container of %s: %w", h.Name, err)
				}
			}
		}
	}
	return testenv.Until(ctx, func() error {
		return e.from.Command(ctx, "ping", "-nqc1", "-W1", e.to.Addr.String()).Run()
	})
}

func (e *ends) connect(ctx context.Context) error {
	switch {
	case e.bare:
		return nil
	case e.form != nil:
		return e.form(e.lab, ctx)
	}
	if err := e.lab.Form(e.settings); err != nil {
		return err
	}
	if err := e.lab.StartAgents(ctx); err != nil {
		return err
	}
	return testenv.Until(ctx, func() error { return e.lab.Ready(ctx) })
}

// measure takes one sample of each measure.
func (e *ends) measure(ctx context.Context, s *samples) error {
	before, err := e.switchCPU()
	if err != nil {
		return err
	}
	tcp, err := iperf(ctx, e.from, e.to)
	if err != nil {
		return err
	}
	after, err := e.switchCPU()
	if err != nil {
		return err
	}
	udp, err := iperf(ctx, e.from, e.to, "-u", "-b", "0", "-l", "64")
	if err != nil {
		return err
	}
	rtt, err := roundTrip(ctx, e.from, e.to)
	if err != nil {
		return err
	}
	s.add("TCP", e.name, 2, "Mbit/s", tcp.End.Received.Bits/1e6)
	if e.lab.Datapath() == "netdev" {
		s.add("CPU for it of both ovs-vswitchd", e.name, 2, "µs/kB",
			float64((after-before).Microseconds())/float64(tcp.End.Received.Bytes)*1e3)
	}
	sum := udp.End.Sum
	s.add("UDP received", e.name, 2, "1,000 packets/s", float64(sum.Packets-sum.Lost)/sum.Seconds/1e3)
	s.add("round trip", e.name, 2, "µs", rtt)
	return nil
}

// switchCPU is what the hosts' ovs-vswitchds have used so far.
func (e *ends) switchCPU() (time.Duration, error) {
	var sum time.Duration
	for _, h := range e.lab.Hosts() {
		u, err := usageOfSwitch(h)
		if err != nil {
			return 0, err
		}
		sum += u.cpu
	}
	return sum, nil
}
