package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/gremesh/gremesh/testenv/load"
)

// wayBare is the way with which an agent at rest is compared.
const wayBare = "memberlist alone"

var restSimulated = Table{
	Name:  "agent at rest, simulated peers",
	Sizes: "hosts",
	Base:  wayBare,
	Text: `One agent with an Open vSwitch, and all other hosts of its mesh in one process, which has an address for each
and is to the agent what they would be at rest: it answers for each what it is asked, and from a host drawn at random it
probes the agent and compares tables with it once a second, and exchanges all state with it as often as memberlist does
in a mesh of that size (30 s with up to 32 hosts, 90 s with 100, 180 s with 1,000). What the others would say to each
other is not said. BFD is off. It begins when the agent has passed on what it has learned by joining, which takes gossip
a minute with 1,000 hosts, and lasts as long as it is from one such exchange to the next, so that the agent begins one
and is asked for one. Beside it, at the same time and with a crowd
of its own, memberlist with the same settings and nothing of gremesh. Both are measured as a part of this program, of
which a few MB are.`,
	measure: func(ctx context.Context, cfg Config, s *samples) error {
		sizes := []int{10, 100, 1000}
		if cfg.Quick {
			sizes = []int{3}
		}
		return s.take(Rest(ctx, sizes, cfg.Quick))
	},
}

// Rest measures an agent at rest, and memberlist alone, in meshes with the
// given numbers of hosts. It measures all at the same time, because at rest
// they use little of the machine. Each is a process in its own network
// namespace, with its own crowd. Rest needs root. With an error, it also
// returns the results until then.
func Rest(ctx context.Context, sizes []int, quick bool) ([]Series, error) {
	var all gathered
	var mu sync.Mutex
	var group errgroup.Group
	found := map[string][]measured{}
	key := func(way string, n int) string { return fmt.Sprint(n, " ", way) }
	for _, n := range sizes {
		length := load.PushPullEvery(n)
		if quick {
			length = time.Second
		}
		for _, way := range []string{wayGremesh, wayBare} {
			group.Go(func() error {
				it, err := runAtRest(ctx, restRole{Hosts: n, Length: length, Way: way})
				mu.Lock()
				defer mu.Unlock()
				found[key(way, n)] = it
				return err
			})
		}
	}
	err := group.Wait()
	for _, n := range sizes {
		for _, way := range []string{wayGremesh, wayBare} {
			for _, m := range found[key(way, n)] {
				all.add("rest", m, way, n)
			}
		}
	}
	return all.series, err
}

// restEnv holds the restRole of a process of the benchmark at rest.
const restEnv = "BENCH_REST"

// restRole describes what such a process does.
type restRole struct {
	Hosts  int           // of its mesh
	Length time.Duration // of the measurement
	Way    string
	Crowd  bool // it acts as all other hosts
}

// command returns a command that runs this program again in that role. The new
// process ends at the latest with this one.
func (r restRole) command(ctx context.Context) (*exec.Cmd, error) {
	text, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, "/proc/self/exe")
	cmd.Env = append(os.Environ(), restEnv+"="+string(text))
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd, nil
}

func runAtRest(ctx context.Context, r restRole) (found []measured, err error) {
	cmd, err := r.command(ctx)
	if err != nil {
		return nil, err
	}
	cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWNET
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err == nil {
		err = json.Unmarshal(out, &found)
	}
	if err != nil {
		return nil, fmt.Errorf("%s at rest, %d hosts: %w: %s", r.Way, r.Hosts, err, bytes.TrimSpace(stderr.Bytes()))
	}
	return found, nil
}

func init() {
	text := os.Getenv(restEnv)
	if text == "" {
		return
	}
	_ = os.Unsetenv(restEnv)
	var r restRole
	err := json.Unmarshal([]byte(text), &r)
	switch {
	case err != nil:
	case r.Crowd:
		err = r.beCrowd(context.Background())
	default:
		var found []measured
		if found, err = r.beAtRest(); err == nil {
			err = json.NewEncoder(os.Stdout).Encode(found)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}
