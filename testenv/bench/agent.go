package bench

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/gremesh/gremesh/bridge"
	"github.com/gremesh/gremesh/bridge/docker"
	"github.com/gremesh/gremesh/bridge/filter"
	"github.com/gremesh/gremesh/bridge/procs"
	"github.com/gremesh/gremesh/mesh"
	"github.com/gremesh/gremesh/mesh/journal"
	"github.com/gremesh/gremesh/ovsdb"
)

// agent is the reconcile loop with all its real components except gossip.
type agent struct {
	o      *openSwitch
	cfg    mesh.Config
	ovs    *timed
	log    *passes
	logger *slog.Logger
	file   *os.File // the log file
	found  []measured
	spent  struct{ agent, commands, vswitchd used } // CPU time and memory at the end of the last pass
	cancel context.CancelFunc
	group  *errgroup.Group
}

// newAgent creates an agent. It starts nothing.
func newAgent(o *openSwitch, cfg mesh.Config) (*agent, error) {
	file, err := os.Create(o.path("agent.log"))
	if err != nil {
		return nil, err
	}
	if err := os.Mkdir(o.path("etc"), 0o755); err != nil { // the docker component watches the folder of daemon.json
		return nil, err
	}
	a := &agent{o: o, cfg: cfg, file: file, log: &passes{Handler: slog.NewJSONHandler(file, nil)}}
	a.logger = slog.New(a.log)
	a.ovs = &timed{Client: ovsdb.New(ovsdb.Config{DB: "unix:" + o.path("db.sock"), Bridge: cfg.Switch, StateDir: o.dir, Log: a.logger})}
	return a, nil
}

// start runs the agent with the given gossip, and also the functions in more,
// which gossip may need.
func (a *agent) start(gossip mesh.Membership, more ...func(context.Context) error) {
	kernel := bridge.New(bridge.Config{Bridge: a.cfg.Bridge, Port: a.cfg.Switch, StateDir: a.o.dir, Log: a.logger})
	dockerd := docker.New(docker.Config{Path: a.o.path("etc/daemon.json"), StateDir: a.o.dir, Log: a.logger})
	nat := filter.New(a.logger)
	loop := mesh.NewLoop(mesh.LoopConfig{
		Config: a.cfg, Membership: gossip, Switch: a.ovs, Kernel: kernel, Docker: dockerd, NAT: nat, Masquerade: filter.Inline(filter.Config{}),
		History: journal.New(a.o.dir, a.logger), Ages: procs.Ages, Memory: mesh.NewMemory(), Log: a.logger, Ready: func() {},
	})
	ctx, cancel := context.WithCancel(context.Background())
	a.cancel = cancel
	a.group, ctx = errgroup.WithContext(ctx)
	for _, run := range append(more, a.ovs.Run, kernel.Run, dockerd.Run, nat.Run, loop.Run) {
		a.group.Go(func() error { return run(ctx) })
	}
}

func (a *agent) stop() error {
	a.cancel()
	return errors.Join(a.group.Wait(), a.file.Close())
}

// usage returns what the agent, its commands and ovs-vswitchd have used so far.
func (a *agent) usage() (agent, commands, vswitchd used, err error) {
	if agent, err = usage(os.Getpid()); err != nil {
		return agent, commands, vswitchd, err
	}
	var children syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_CHILDREN, &children); err != nil {
		return agent, commands, vswitchd, err
	}
	commands.cpu = time.Duration(children.Utime.Nano() + children.Stime.Nano())
	vswitchd, err = usage(a.o.vswitchd.Process.Pid)
	return agent, commands, vswitchd, err
}
