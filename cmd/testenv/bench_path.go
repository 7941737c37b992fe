package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gremesh/gremesh/testenv"
)

// ways are what packets between two containers are measured over, side by side.
// The first is what the others are compared with.
var ways = []way{
	{name: "recipe by hand", form: byHand},
	{name: "aggregate", settings: map[string]any{"route": "aggregate", "flood": "on"}},
	{name: "per-peer", settings: map[string]any{"route": "per-peer"}},
	{name: "direct", settings: map[string]any{"direct": "same-subnet"}},
	{name: "vxlan", settings: map[string]any{"tunnel.type": "vxlan"}},
}

// way is one kind of data path, in a lab of its own.
type way struct {
	name     string
	settings map[string]any
	form     func(context.Context, *testenv.Lab) error // instead of agents

	lab       *testenv.Lab
	to        netip.Addr // the second host's container
	in        [2][]string
	tcp       []float64 // Mbit/s
	udp       []float64 // thousand packets of 64 bytes a second
	roundTrip []float64 // microseconds, mean of a run
}

func byHand(ctx context.Context, l *testenv.Lab) error { return l.Recipe(ctx) }

const (
	pathSeconds = 3 // of each measurement of throughput
	pathPings   = 400
)

// benchPath measures between containers of two hosts, all ways in turns.
func benchPath(ctx context.Context, out io.Writer, runs int, binary string) (err error) {
	all := slices.Clone(ways)
	defer func() {
		for i := range all {
			if all[i].lab != nil {
				err = errors.Join(err, all[i].lab.Close())
			}
		}
	}()
	for i := range all {
		if err := all[i].up(ctx, binary); err != nil {
			return fmt.Errorf("%s: %w", all[i].name, err)
		}
	}
	for range runs {
		for i := range all {
			if err := all[i].measure(ctx); err != nil {
				return fmt.Errorf("%s: %w", all[i].name, err)
			}
		}
	}
	fmt.Fprintf(out, `
Between containers of two hosts on the datapath %q, medians (least-most) of %d
runs in turns, each beside the recipe by hand: TCP in Mbit/s, UDP in thousand
packets of 64 bytes a second received, round trip in microseconds.

`, all[0].lab.Datapath(), runs)
	const row = "%-15s | %-23s %5s | %-20s %5s | %-20s %5s\n"
	fmt.Fprintf(out, row, "", "TCP", "", "UDP", "", "round trip", "")
	base := all[0]
	for _, w := range all {
		fmt.Fprintf(out, row, w.name, spread(w.tcp), ratio(w.tcp, base.tcp), spread(w.udp), ratio(w.udp, base.udp),
			spread(w.roundTrip), ratio(w.roundTrip, base.roundTrip))
	}
	return nil
}

// ratio is how the medians compare.
func ratio(x, base []float64) string {
	slices.Sort(x)
	slices.Sort(base)
	return fmt.Sprintf("%.2f", x[len(x)/2]/base[len(base)/2])
}

// up makes the way's lab with a container on each host.
func (w *way) up(ctx context.Context, binary string) error {
	var err error
	if w.lab, err = testenv.New(ctx, testenv.Config{Hosts: 2, Docker: true, Binary: binary}); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, meshTime, fmt.Errorf("no mesh within %s", meshTime))
	defer cancel()
	if w.form != nil {
		err = w.form(ctx, w.lab)
	} else if err = w.lab.Form(w.settings); err == nil {
		if err = w.lab.StartAgents(ctx); err == nil {
			err = testenv.Until(ctx, func() error { return w.lab.Ready(ctx) })
		}
	}
	if err != nil {
		return err
	}
	for i, h := range w.lab.Hosts() {
		if w.to, err = h.RunContainer(ctx, "c1"); err != nil {
			return err
		}
		pid, err := h.Exec(ctx, "docker", "inspect", "-f", "{{.State.Pid}}", "c1")
		if err != nil {
			return err
		}
		w.in[i] = []string{"nsenter", "--net=/proc/" + strings.TrimSpace(pid) + "/ns/net"}
	}
	return testenv.Until(ctx, func() error { return w.lab.Host(1).Ping(ctx, "c1", w.to, 0) })
}

// measure adds one result of each kind.
func (w *way) measure(ctx context.Context) error {
	tcp, err := w.iperf(ctx)
	if err != nil {
		return err
	}
	w.tcp = append(w.tcp, tcp.End.Received.Bits/1e6)
	udp, err := w.iperf(ctx, "-u", "-b", "0", "-l", "64")
	if err != nil {
		return err
	}
	sum := udp.End.Sum
	w.udp = append(w.udp, float64(sum.Packets-sum.Lost)/sum.Seconds/1e3)
	ping := append(slices.Clone(w.in[0]), "ping", "-nq", "-i", "0.005", "-c", strconv.Itoa(pathPings), w.to.String())
	text, err := w.lab.Host(1).Exec(ctx, ping...)
	if err != nil {
		return err
	}
	_, times, _ := strings.Cut(text, "mdev = ") // min/avg/max/mdev in ms
	fields := strings.Split(times, "/")
	if len(fields) < 4 {
		return fmt.Errorf("ping said %q", text)
	}
	mean, err := strconv.ParseFloat(fields[1], 64)
	w.roundTrip = append(w.roundTrip, 1000*mean)
	return err
}

// iperfReport is a part of what iperf3 -J prints.
type iperfReport struct {
	End struct {
		Received struct {
			Bits float64 `json:"bits_per_second"`
		} `json:"sum_received"`
		Sum struct {
			Seconds float64 `json:"seconds"`
			Packets int     `json:"packets"`
			Lost    int     `json:"lost_packets"`
		} `json:"sum"`
	} `json:"end"`
}

// iperf runs iperf3 between the containers, with a server that serves once.
func (w *way) iperf(ctx context.Context, options ...string) (report iperfReport, err error) {
	server := w.lab.Host(2).Command(ctx, append(slices.Clone(w.in[1]), "iperf3", "-s", "-1")...)
	if err := server.Start(); err != nil {
		return report, err
	}
	defer func() {
		if err != nil {
			_ = server.Process.Kill()
		}
		_ = server.Wait() // the client has told how it went
	}()
	limit, cancel := context.WithTimeout(ctx, pathSeconds*time.Second+10*time.Second)
	defer cancel()
	client := append(slices.Clone(w.in[0]), "iperf3", "-J", "-c", w.to.String(), "-t", strconv.Itoa(pathSeconds))
	var text string
	var failed error
	late := testenv.Until(limit, func() error { // until the server listens
		if text, failed = w.lab.Host(1).Exec(limit, append(client, options...)...); strings.Contains(text, "refused") {
			return failed
		}
		return nil
	})
	if err = cmp.Or(late, failed); err != nil {
		return report, fmt.Errorf("%w: %s", err, text)
	}
	return report, json.Unmarshal([]byte(text), &report)
}
