package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

// Ways to give one host its tunnels.
const (
	wayGremesh = "gremesh"
	wayRaw     = "one raw transaction"
	wayBatch   = "ovs-vsctl, 1,000 ports a call"
	waySingle  = "ovs-vsctl, a call a port"
)

const (
	singleCalls = 100 // the number of peers if ovs-vsctl is called once for each port
	// batchCalls is the maximum number of peers if each call of ovs-vsctl makes
	// 1,000 ports. 5,000 peers would take minutes.
	batchCalls = 1000
)

// OVSDB measures how long one host takes to get tunnels to n peers, for each n
// in sizes. It repeats each measurement runs times, and takes the ways in
// turns. The ways are an agent, one raw transaction with the same content, and
// ovs-vsctl. The raw transaction is the minimum for any program. Each host is a
// process in its own network namespace, with its own ovsdb-server and
// ovs-vswitchd. OVSDB needs root. With an error, it also returns the results
// until then.
func OVSDB(ctx context.Context, sizes []int, runs int) ([]Series, error) {
	var all gathered
	for range runs {
		for _, n := range sizes {
			for _, way := range []string{wayGremesh, wayRaw, wayBatch} {
				if way == wayBatch && n > batchCalls {
					continue
				}
				if err := all.run(ctx, way, n); err != nil {
					return all.series, err
				}
			}
		}
		if err := all.run(ctx, waySingle, singleCalls); err != nil {
			return all.series, err
		}
	}
	return all.series, nil
}

// hostEnv marks a process as a host of the OVSDB benchmark. Its value is the
// number of peers and the way.
const hostEnv = "BENCH_OVSDB_HOST"

// A program that measures starts itself again as the hosts, in other network
// namespaces. This is an init function, so that no main can forget to call it.
func init() {
	words := os.Getenv(hostEnv)
	if words == "" {
		return
	}
	_ = os.Unsetenv(hostEnv)
	number, way, _ := strings.Cut(words, " ")
	n, err := strconv.Atoi(number)
	if err == nil {
		var found []measured
		if found, err = beHost(way, n); err == nil {
			err = json.NewEncoder(os.Stdout).Encode(found)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// measured is one value that a process of the benchmark prints.
type measured struct {
	Measure, Unit string
	Value         float64
}

// gathered collects the values of equal runs.
type gathered struct{ series []Series }

func (g *gathered) run(ctx context.Context, way string, n int) error {
	cmd := exec.CommandContext(ctx, "/proc/self/exe")
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d %s", hostEnv, n, way))
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("%s, %d peers: %w: %s", way, n, err, bytes.TrimSpace(stderr.Bytes()))
	}
	var found []measured
	if err := json.Unmarshal(out, &found); err != nil {
		return fmt.Errorf("%s, %d peers: %w", way, n, err)
	}
	for _, m := range found {
		g.add("ovsdb", m, way, n)
	}
	return nil
}

func (g *gathered) add(table string, m measured, way string, n int) {
	for i := range g.series {
		s := &g.series[i]
		if s.Table == table && s.Measure == m.Measure && s.Way == way && s.N == n {
			s.Samples = append(s.Samples, m.Value)
			return
		}
	}
	g.series = append(g.series, Series{
		Table: table, Measure: m.Measure, Way: way, N: n, Unit: m.Unit, Samples: []float64{m.Value},
	})
}
