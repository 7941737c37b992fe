package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/gremesh/gremesh/mesh"
	"github.com/gremesh/gremesh/mesh/gossip"
	"github.com/gremesh/gremesh/mesh/lease"
)

// Rest measures an agent at rest in meshes of the given numbers of hosts, for as
// long as length says: it looks at all that there is every 30 s. All of
// the agent is real, in a network namespace with an Open vSwitch of its own; the
// other hosts are gossip alone, all in one process beside it. BFD is off, for
// behind their addresses there is no Open vSwitch. It needs root. Beside an error
// it returns what was measured until then.
func Rest(ctx context.Context, sizes []int, runs int, length time.Duration) ([]Series, error) {
	var all gathered
	for range runs {
		for _, n := range sizes {
			cmd := exec.CommandContext(ctx, "/proc/self/exe")
			cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d %s", restEnv, n, length))
			cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			out, err := cmd.Output()
			var found []measured
			if err == nil {
				err = json.Unmarshal(out, &found)
			}
			if err != nil {
				return all.series, fmt.Errorf("at rest, %d hosts: %w: %s", n, err, bytes.TrimSpace(stderr.Bytes()))
			}
			for _, m := range found {
				all.add("rest", m, wayGremesh, n)
			}
		}
	}
	return all.series, nil
}

// restEnv has the words of a process of the benchmark at rest: the number of
// hosts, and for how long it is looked at; of the others the folder of their state.
const restEnv = "BENCH_REST"

func init() {
	words := strings.Fields(os.Getenv(restEnv))
	if len(words) < 2 {
		return
	}
	_ = os.Unsetenv(restEnv)
	n, err := strconv.Atoi(words[0])
	length, notTime := time.ParseDuration(words[1])
	switch {
	case err != nil:
	case notTime != nil:
		err = beOthers(n, words[1])
	default:
		var found []measured
		if found, err = beAtRest(n, length); err == nil {
			err = json.NewEncoder(os.Stdout).Encode(found)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// gossiper is the address of a host's gossip.
func gossiper(i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 1, byte(i >> 8), byte(i + 1)}), 7946)
}

// gossipConfig is of a host that holds its subnet already, as all the others do.
func gossipConfig(i, n int, dir string, log *slog.Logger) (gossip.Config, error) {
	cfg := gossip.Config{
		Name: host(i).Name, Underlay: gossiper(i), Settings: gossip.Settings{Space: config().Space, Tunnel: config().Tunnel},
		Dir: filepath.Join(dir, strconv.Itoa(i)), Log: log, Keys: [][]byte{bytes.Repeat([]byte{7}, 32)},
	}
	for seed := range min(n, 3) {
		if seed != i {
			cfg.Seeds = append(cfg.Seeds, gossiper(seed).String())
		}
	}
	var records []lease.Record
	for other := range n {
		records = append(records, lease.Record{
			Host: host(other).ID, Version: 1, State: lease.Held, Subnet: host(other).Subnet, Age: uint64(other + 1), Name: host(other).Name, Underlay: gossiper(other),
		})
	}
	state, err := json.Marshal(map[string]any{"host": host(i).ID, "mesh": "bench", "records": records})
	if err != nil {
		return cfg, err
	}
	return cfg, errors.Join(os.MkdirAll(cfg.Dir, 0o755),
		os.WriteFile(filepath.Join(cfg.Dir, "state.json"), state, 0o600),
		os.WriteFile(filepath.Join(cfg.Dir, "id"), []byte(host(i).ID.String()+"\n"), 0o600))
}

// beOthers is all hosts but the first, until it is killed.
func beOthers(n int, dir string) error {
	group, ctx := errgroup.WithContext(context.Background())
	for i := 1; i < n; i++ {
		cfg, err := gossipConfig(i, n, dir, slog.New(slog.DiscardHandler))
		if err != nil {
			return err
		}
		node, err := gossip.New(cfg)
		if err != nil {
			return err
		}
		group.Go(func() error { return node.Run(ctx) })
	}
	return group.Wait()
}

// beAtRest is the first host.
func beAtRest(n int, length time.Duration) (found []measured, err error) {
	o, err := startSwitch()
	if err != nil {
		return nil, err
	}
	defer o.stop()
	others := exec.Command("/proc/self/exe") //nolint:noctx // it lives as long as this process
	others.Env = append(os.Environ(), fmt.Sprintf("%s=%d %s", restEnv, n, o.dir))
	others.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	others.Stderr = os.Stderr
	if err := others.Start(); err != nil {
		return nil, err
	}
	defer func() { _, _ = others.Process.Kill(), others.Wait() }()

	a, err := newAgent(o, config())
	if err != nil {
		return nil, err
	}
	way, err := gossipConfig(0, n, o.dir, a.logger)
	if err != nil {
		return nil, err
	}
	node, err := gossip.New(way)
	if err != nil {
		return nil, err
	}
	a.start(node, node.Run)
	defer func() { err = errors.Join(err, a.stop()) }()

	alive := func() (count int) {
		for _, p := range node.View().Peers {
			if p.Liveness == mesh.Alive {
				count++
			}
		}
		return count
	}
	for began := time.Now(); alive() < n-1; time.Sleep(100 * time.Millisecond) {
		if time.Since(began) > 3*limit {
			return nil, fmt.Errorf("after %s %d of %d hosts are there", 3*limit, alive(), n-1)
		}
	}
	if _, err := a.settle(time.Time{}); err != nil {
		return nil, err
	}
	if err := o.run("nft", "add table ip bench; add chain ip bench traffic { type filter hook output priority 0; };"+
		"add rule ip bench traffic ip saddr "+gossiper(0).Addr().String()+" counter; add rule ip bench traffic ip daddr "+gossiper(0).Addr().String()+" counter"); err != nil {
		return nil, err
	}
	if _, err := a.settle(time.Time{}); err != nil {
		return nil, err
	}
	runtime.GC()
	before, commands, vswitchd, err := a.usage()
	if err != nil {
		return nil, err
	}
	sentBefore, gotBefore, err := o.counted()
	if err != nil {
		return nil, err
	}
	began := time.Now()
	time.Sleep(length)
	took := time.Since(began).Seconds()
	after, commandsAfter, vswitchdAfter, err := a.usage()
	if err != nil {
		return nil, err
	}
	sent, got, err := o.counted()
	return []measured{
		{"CPU of the agent", "% of a core", 100 * (after.cpu - before.cpu).Seconds() / took},
		{"CPU of nft and iptables", "% of a core", 100 * (commandsAfter.cpu - commands.cpu).Seconds() / took},
		{"CPU of ovs-vswitchd", "% of a core", 100 * (vswitchdAfter.cpu - vswitchd.cpu).Seconds() / took},
		{"memory of the agent", "MB", after.memory},
		{"gossip sent", "B/s", (sent - sentBefore) / took},
		{"gossip received", "B/s", (got - gotBefore) / took},
	}, err
}

var counter = regexp.MustCompile(`bytes (\d+)`)

// counted is what the first host has sent and received, in bytes with IP headers.
func (o *openSwitch) counted() (sent, got float64, err error) {
	out, err := exec.Command("nft", "list", "chain", "ip", "bench", "traffic").Output() //nolint:noctx // a process of its own
	if err != nil {
		return 0, 0, err
	}
	found := counter.FindAllStringSubmatch(string(out), -1)
	if len(found) != 2 {
		return 0, 0, fmt.Errorf("nft lists %q", out)
	}
	sent, _ = strconv.ParseFloat(found[0][1], 64)
	got, _ = strconv.ParseFloat(found[1][1], 64)
	return sent, got, nil
}
