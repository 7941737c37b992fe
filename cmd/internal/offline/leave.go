package offline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/gremesh/gremesh/cmd/internal/config"
	"github.com/gremesh/gremesh/cmd/internal/machine"
	"github.com/gremesh/gremesh/mesh"
	"github.com/gremesh/gremesh/mesh/api"
	"github.com/gremesh/gremesh/mesh/gossip"
)

const (
	offlineTimeout = 10 * time.Second
	lastJoiners    = 2 * time.Second // time for the remaining hosts to answer after the first has answered
	askQuickly     = 5 * time.Second
)

// tryLockState takes the lock of the state, so that no agent can start. If
// there is no state, it locks nothing. If an agent runs and has the lock,
// running is true and unlock does nothing.
func tryLockState(dir string) (unlock func(), running bool, err error) {
	if !machine.HasState(dir) {
		return func() {}, false, nil
	}
	unlock, err = machine.LockState(dir)
	if errors.Is(err, machine.ErrRunning) {
		return func() {}, true, nil
	}
	return unlock, false, err
}

// leaveByAgent tells the running agent to leave the mesh. It waits until the
// agent has ended, and then takes the lock of the state. wrong is the reason
// why the agent could not tell the other hosts; the caller continues
// nevertheless.
func leaveByAgent(ctx context.Context, cfg config.Config) (unlock func(), wrong, err error) {
	c := api.NewClient(cfg.Control)
	quick, cancel := context.WithTimeout(ctx, askQuickly)
	defer cancel()
	if _, err := c.Status(quick); err != nil {
		return nil, nil, fmt.Errorf("an agent runs with state_dir %s and can't be asked to leave: %w; stop it first (systemctl stop gremesh)", cfg.StateDir, err)
	}
	wrong = c.Leave(ctx, true)
	ctx, cancel = context.WithTimeout(ctx, offlineTimeout)
	defer cancel()
	for {
		unlock, running, err := tryLockState(cfg.StateDir)
		if err != nil || !running {
			return unlock, wrong, err
		}
		select {
		case <-ctx.Done():
			return nil, nil, fmt.Errorf("the agent has not ended: %w; stop it, and run this again (systemctl stop gremesh)", errors.Join(wrong, ctx.Err()))
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// leaveAlone leaves the mesh on behalf of an agent that does not run. This
// process acts as the host until it has met the other hosts and told them.
func leaveAlone(ctx context.Context, p machine.Components, cfg config.Config) (err error) {
	ctx, cancel := context.WithTimeout(ctx, offlineTimeout)
	defer cancel()
	at, err := machine.FindUnderlay(cfg)
	if err != nil {
		return err
	}
	cfg.Mesh.Bootstrap = false // never create a mesh here, whatever state is left
	node, err := gossip.New(p.GossipConfig(ctx, cfg, at, slog.New(slog.DiscardHandler)))
	if err != nil {
		return err
	}
	if len(cfg.Mesh.Join) == 0 && len(node.View().Peers) == 0 {
		return nil // there is no other host to tell
	}
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- node.Run(running) }()
	defer func() {
		stop()
		err = errors.Join(err, <-ended)
	}()
	if !waitForPeers(running, node, ended) {
		return errors.New("no other host can be reached")
	}
	return node.Leave(running, true)
}

// waitForPeers waits until the known hosts are alive, and reports whether at
// least one is. After the first answer it waits at most lastJoiners for the
// rest.
func waitForPeers(ctx context.Context, node *gossip.Node, ended chan error) bool {
	var late <-chan time.Time
	for {
		alive, silent := 0, 0
		for _, p := range node.View().Peers {
			switch p.Liveness {
			case mesh.Alive:
				alive++
			case mesh.Failed:
				silent++
			}
		}
		if alive > 0 && late == nil {
			late = time.After(lastJoiners)
		}
		if alive > 0 && silent == 0 {
			return true
		}
		select {
		case <-node.Changed():
		case <-late:
			return true
		case <-ctx.Done():
			return alive > 0
		case err := <-ended: // gossip ended, for example because the mesh refused this host
			ended <- err
			return false
		}
	}
}
