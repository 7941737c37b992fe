package main

import (
	"context"
	"errors"
	"fmt"
	"os"
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
		Short: "Time to a full mesh, with gremesh and with the recipe by hand",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			out := cmd.OutOrStdout()
			fmt.Fprintf(out, "Time until every tunnel has BFD up at both ends, and memory of the largest agent;\n"+
				"median (least to most) of %d runs, in turns. The recipe: ovs-vsctl and ip, host after host.\n\n", runs)
			fmt.Fprintf(out, "%5s  %5s  %-22s  %-22s  %s\n", "hosts", "ports", "gremesh s", "by hand s", "memory MB")
			for _, n := range sizes {
				var mesh, hand, memory []float64
				for range runs {
					m, err := measure(cmd.Context(), n, binary, (*testenv.Lab).StartAgents)
					if err != nil {
						return fmt.Errorf("%d hosts: %w", n, err)
					}
					h, err := measure(cmd.Context(), n, binary, (*testenv.Lab).Recipe)
					if err != nil {
						return fmt.Errorf("%d hosts by hand: %w", n, err)
					}
					mesh, hand, memory = append(mesh, m.seconds), append(hand, h.seconds), append(memory, m.megabytes)
				}
				fmt.Fprintf(out, "%5d  %5d  %-22s  %-22s  %s\n", n, n*(n-1), spread(mesh), spread(hand), spread(memory))
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&binary, "gremesh", "bin/gremesh", "the `FILE` that the hosts run as gremesh")
	cmd.Flags().IntSliceVarP(&sizes, "hosts", "n", []int{3, 5, 10}, "numbers of hosts")
	cmd.Flags().IntVar(&runs, "runs", 3, "runs of each")
	return cmd
}

// result is one run's.
type result struct {
	seconds   float64
	megabytes float64 // resident, of the largest agent; 0 without agents
}

// measure makes a lab and times what form does, until all tunnels are up.
func measure(ctx context.Context, hosts int, binary string, form func(*testenv.Lab, context.Context) error) (r result, err error) {
	l, err := testenv.New(ctx, testenv.Config{Hosts: hosts, Binary: binary})
	if err != nil {
		return result{}, err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	if err := l.Form(nil); err != nil {
		return result{}, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, meshTime, fmt.Errorf("no full mesh within %s", meshTime))
	defer cancel()
	start := time.Now()
	if err := form(l, ctx); err != nil {
		return result{}, err
	}
	err = testenv.Until(ctx, func() error {
		up, err := l.TunnelsUp(ctx)
		if err == nil && up != hosts*(hosts-1) {
			err = fmt.Errorf("%d of %d tunnels are up", up, hosts*(hosts-1))
		}
		return err
	})
	r.seconds = time.Since(start).Seconds()
	for _, h := range l.Hosts() {
		if pid, err := h.AgentPID(); err == nil {
			r.megabytes = max(r.megabytes, resident(pid))
		}
	}
	return r, err
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
	return fmt.Sprintf("%.2f (%.2f to %.2f)", x[len(x)/2], x[0], x[len(x)-1])
}
