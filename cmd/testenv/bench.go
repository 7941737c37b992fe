package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gremesh/gremesh/testenv"
)

func benchCommand() *cobra.Command {
	var binary string
	var sizes []int
	var runs int
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Time to a full mesh, with gremesh and with the recipe by hand, and to distinct bips",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			out := cmd.OutOrStdout()
			if err := bench(cmd.Context(), out, sizes, runs, binary); err != nil {
				return err
			}
			if err := benchLeases(cmd.Context(), out, runs, binary); err != nil {
				return err
			}
			return benchPath(cmd.Context(), out, runs, binary)
		},
	}
	cmd.Flags().StringVar(&binary, "gremesh", "bin/gremesh", "the `FILE` that the hosts run as gremesh")
	cmd.Flags().IntSliceVarP(&sizes, "hosts", "n", []int{3, 5, 10}, "numbers of hosts")
	cmd.Flags().IntVar(&runs, "runs", 3, "runs of each")
	return cmd
}

// bench measures all sizes, with gremesh and by hand in turns, and prints a
// line for each size.
func bench(ctx context.Context, out io.Writer, sizes []int, runs int, binary string) error {
	fmt.Fprintf(out, `Seconds from the start of all agents (by hand: of the first command of the
recipe, ovs-vsctl and ip, host after host) until all ports are present, and
until all of them have BFD up; resident memory of the largest agent. Median
(least-most) of %d runs, in turns, %d processors.

`, runs, runtime.NumCPU())
	const row = "%5s  %5s | %-18s %-18s | %-18s %-18s | %s\n"
	fmt.Fprintf(out, row, "hosts", "ports", "gremesh: present", "up", "by hand: present", "up", "agent MB")
	for _, n := range sizes {
		var mesh, hand series
		for range runs {
			for _, way := range []struct {
				into *series
				form func(*testenv.Lab, context.Context) error
			}{
				{&mesh, (*testenv.Lab).StartAgents},
				{&hand, (*testenv.Lab).Recipe},
			} {
				if err := way.into.measure(ctx, n, binary, way.form); err != nil {
					return fmt.Errorf("%d hosts: %w", n, err)
				}
			}
		}
		fmt.Fprintf(out, row, strconv.Itoa(n), strconv.Itoa(n*(n-1)),
			spread(mesh.present), spread(mesh.up), spread(hand.present), spread(hand.up), spread(mesh.memory))
	}
	return nil
}

// series are the results of equal runs.
type series struct {
	present, up []float64 // seconds
	memory      []float64 // MB
}

// measure makes a lab and times what form does, until all tunnels are up.
func (s *series) measure(ctx context.Context, hosts int, binary string, form func(*testenv.Lab, context.Context) error) (err error) {
	l, err := testenv.New(ctx, testenv.Config{Hosts: hosts, Binary: binary})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	if err := l.Form(nil); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, meshTime, fmt.Errorf("no full mesh within %s", meshTime))
	defer cancel()
	start := time.Now()
	if err := form(l, ctx); err != nil {
		return err
	}
	want := hosts * (hosts - 1)
	var present time.Duration
	err = testenv.Until(ctx, func() error {
		n, err := l.Tunnels(ctx)
		if err != nil {
			return err
		}
		if n.Present == want && present == 0 {
			present = time.Since(start)
		}
		if n.Up != want {
			return fmt.Errorf("of %d tunnels %d are there, %d up", want, n.Present, n.Up)
		}
		return nil
	})
	s.present = append(s.present, present.Seconds())
	s.up = append(s.up, time.Since(start).Seconds())
	memory := 0.0
	for _, h := range l.Hosts() {
		if pid, err := h.AgentPID(); err == nil {
			memory = max(memory, resident(pid))
		}
	}
	s.memory = append(s.memory, memory)
	return err
}

// resident is a process's VmRSS in MB, proc(5); 0 when it is gone.
func resident(pid int) float64 {
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	_, after, _ := strings.Cut(string(status), "VmRSS:")
	number, _, _ := strings.Cut(strings.TrimSpace(after), " ")
	kilobytes, _ := strconv.ParseFloat(number, 64)
	return kilobytes / 1000
}

// spread is the median and the extremes.
func spread(x []float64) string {
	slices.Sort(x)
	return fmt.Sprintf("%.2f (%.2f-%.2f)", x[len(x)/2], x[0], x[len(x)-1])
}
