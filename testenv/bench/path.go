package bench

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"strconv"
	"time"

	"github.com/gremesh/gremesh/testenv"
)

const recipePath = "recipe by hand"

var path = Table{
	Name: "data path, userspace",
	Base: recipePath,
	Text: `Between containers of two hosts on Open vSwitch's userspace datapath, where each packet, tunnelled or
not, passes each host's ovs-vswitchd: direct saves the tunnel's header, and not that. A sample is the median of a lab,
and each lab is new; a host's ovs-vswitchd and its end of iperf3 or ping are kept on a processor of their own. ` + pathText,
	measure: pathPlan{
		datapath: "netdev", labs: 5, rounds: 2,
		ways: []way{
			{name: recipePath, form: (*testenv.Lab).RecipeAtOnce, mtu: greMTU},
			{name: "gremesh, route: per-peer (default)"},
			{name: "gremesh, route: aggregate, flood: on", settings: map[string]any{"route": "aggregate", "flood": "on"}},
			{name: "gremesh, direct: same-subnet", settings: map[string]any{"direct": "same-subnet"}},
			{name: "gremesh, tunnel.type: vxlan", settings: map[string]any{"tunnel.type": "vxlan"}},
		},
	}.measure,
}

// greMTU is the MTU inside GRE on an underlay of 1500 bytes. The recipe does
// not mention it, and without it packets of full size do not arrive.
const greMTU = 1462

// pathText is the part of the text that all data paths share.
const pathText = "By hand, the containers' MTU has been set to 1462, as gremesh does; without that TCP gets nothing through." +
	" Commands: `iperf3 -c ADDRESS`; `iperf3 -c ADDRESS -u -l 64 -b 0`, of which the packets received count;" +
	" `ping -f -c 2000`, mean; each has a second or less."

// way is one kind of data path.
type way struct {
	name     string
	settings map[string]any                            // of the agents
	form     func(*testenv.Lab, context.Context) error // replaces the agents
	mtu      int                                       // of the containers, if no agent makes Docker set it
	bare     bool                                      // between the hosts themselves, without containers
}

// pathPlan describes how to measure a table of data paths. It creates labs of
// all ways in turns. Each lab takes several samples of each measure, and the
// median counts. Labs of the same way differ more than the samples of one lab.
type pathPlan struct {
	datapath string
	ways     []way
	labs     int // for each way
	rounds   int // in each lab
}

func (p pathPlan) measure(ctx context.Context, cfg Config, s *samples) error {
	if cfg.Quick {
		p.labs, p.rounds, p.ways = 1, 1, p.ways[:2]
	}
	for lab := range p.labs {
		for _, w := range inTurns(lab, p.ways...) {
			found, err := p.once(ctx, cfg, w)
			if err != nil {
				return fmt.Errorf("%s: %w", w.name, err)
			}
			for _, of := range found.series {
				s.add(of.Measure, of.Way, of.N, of.Unit, median(of.Samples))
			}
			cfg.Log.Info("data path", "datapath", p.datapath, "way", w.name, "lab", lab+1, "of", p.labs)
		}
	}
	return nil
}

// once measures a way in its own lab.
func (p pathPlan) once(ctx context.Context, cfg Config, w way) (found samples, err error) {
	lab, err := testenv.New(ctx, testenv.Config{Hosts: 2, Docker: !w.bare, Datapath: p.datapath, Binary: cfg.Binary})
	if err != nil {
		return found, err
	}
	defer func() { err = errors.Join(err, lab.Close()) }()
	e := &ends{way: w, lab: lab}
	if err := e.up(ctx); err != nil {
		return found, err
	}
	for range p.rounds {
		if err := e.measure(ctx, &found); err != nil {
			return found, err
		}
	}
	return found, nil
}

// ends is a way that has been set up.
type ends struct {
	way
	lab      *testenv.Lab
	from, to seat
}

// seat is an end whose processes all run on one processor.
type seat struct {
	testenv.End
	processor string
}

// Command returns a command that runs at the end, on its processor.
func (s seat) Command(ctx context.Context, argv ...string) *exec.Cmd {
	return s.End.Command(ctx, append([]string{"taskset", "-c", s.processor}, argv...)...)
}

// seatOf pins the host's ovs-vswitchd to one processor, and returns a seat
// whose commands run on the same one. With the scheduler's choice, labs of the
// same way differed by a third for as long as they ran.
func seatOf(ctx context.Context, h *testenv.Host, i int) (seat, error) {
	s := seat{h.End(), strconv.Itoa(i % runtime.NumCPU())}
	pid, err := pidOfSwitch(h)
	if err != nil {
		return s, err
	}
	_, err = h.Exec(ctx, "taskset", "-acp", s.processor, strconv.Itoa(pid))
	return s, err
}

// up sets up the path, with a container on each host.
func (e *ends) up(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, formTime, fmt.Errorf("not within %s", formTime))
	defer cancel()
	if err := e.connect(ctx); err != nil {
		return err
	}
	for i, end := range []*seat{&e.from, &e.to} {
		h := e.lab.Host(i + 1)
		var err error
		if *end, err = seatOf(ctx, h, i); err != nil {
			return err
		}
		if e.bare {
			continue
		}
		if _, err := h.RunContainer(ctx, "c1"); err != nil {
			return err
		}
		if end.End, err = h.Container(ctx, "c1"); err != nil {
			return err
		}
		if e.mtu > 0 {
			if err := end.Command(ctx, "ip", "link", "set", "eth0", "mtu", strconv.Itoa(e.mtu)).Run(); err != nil {
				return fmt.Errorf("MTU of a container of %s: %w", h.Name, err)
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

// switchCPU returns the CPU time that the hosts' ovs-vswitchds have used so
// far.
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
