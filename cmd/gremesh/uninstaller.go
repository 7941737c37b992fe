package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/gremesh/gremesh/cmd/internal/config"
	"github.com/gremesh/gremesh/mesh"
	"github.com/gremesh/gremesh/mesh/api"
	"github.com/gremesh/gremesh/mesh/gossip"
)

// uninstaller removes gremesh from this host.
type uninstaller struct {
	mesh.Uninstall
	parts  parts
	cfg    config.Config
	silent error // why this host cannot tell the other hosts
	say    func(string)
}

func newUninstaller(cfg config.Config, components componentsFunc, silent error, say func(string)) *uninstaller {
	p := components(cfg, underlay{}, slog.New(slog.DiscardHandler))
	u := &uninstaller{cfg: cfg, silent: silent, parts: p, say: say}
	u.Uninstall = mesh.Uninstall{
		Switch: p.ovs, Kernel: p.kernel, Docker: p.docker, NAT: p.nat, Pool: cfg.Pool, Say: say,
	}
	return u
}

// during runs do while it keeps a connection to Open vSwitch.
func (u *uninstaller) during(ctx context.Context, do func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- u.parts.ovs.Run(ctx) }()
	err := do(ctx)
	cancel()
	return errors.Join(err, <-ended)
}

func (u *uninstaller) plan(ctx context.Context) (plan api.UninstallPlan, err error) {
	unlock, running, err := holdState(u.cfg.StateDir)
	if err != nil {
		return plan, err
	}
	unlock()
	plan.Agent = running
	if hasState(u.cfg.StateDir) {
		plan.State = u.cfg.StateDir
	}
	if plan.GivesUp, err = gossip.Reserved(u.cfg.StateDir); err != nil {
		plan.Damaged = err.Error()
	}
	plan.UninstallPlan = u.Plan(ctx)
	return plan, nil
}

func (u *uninstaller) run(ctx context.Context, plan api.UninstallPlan) error {
	unlock, running, err := holdState(u.cfg.StateDir)
	if err != nil {
		return err
	}
	var silent error
	switch {
	case running:
		u.say("the agent leaves the mesh and ends …")
		if unlock, silent, err = leaveByAgent(ctx, u.cfg); err != nil {
			return err
		}
	case plan.Damaged != "":
		silent = errors.New(plan.Damaged)
	case plan.GivesUp.IsValid():
		silent = u.silent
	}
	defer func() { unlock() }()
	left, err := gossip.Reserved(u.cfg.StateDir)
	if err == nil && (left.IsValid() || gossip.IsUntold(u.cfg.StateDir)) && u.silent == nil {
		u.say("leaving the mesh …")
		silent = leaveAlone(ctx, u.parts, u.cfg)
	}
	if silent != nil {
		u.say(fmt.Sprintf("the other hosts were not told that this host leaves: %v\nThe other hosts see this one as failed. To free its subnet, on one of them: gremesh forget %s",
			silent, u.cfg.Node.Name))
	}
	if err := u.Run(ctx); err != nil {
		return fmt.Errorf("%w\nthe rest is done, and the state kept: correct the cause and run `gremesh uninstall` again", err)
	}
	return u.removeState()
}

func (u *uninstaller) removeState() error {
	left, err := removeState(u.cfg)
	if err != nil {
		return err
	}
	if left != "" {
		u.say(left + " stays: there are files in it that are not gremesh's")
	}
	u.say("gremesh is off this host; its configuration and its binary stay, and the unit: systemctl disable gremesh")
	return nil
}
