package offline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/gremesh/gremesh/cmd/internal/config"
	"github.com/gremesh/gremesh/cmd/internal/machine"
	"github.com/gremesh/gremesh/mesh"
	"github.com/gremesh/gremesh/mesh/api"
	"github.com/gremesh/gremesh/mesh/gossip"
)

// UninstallOptions says how to remove gremesh from this host.
type UninstallOptions struct {
	Config     config.Config
	Components machine.Constructor
	LeaveErr   error        // why this host cannot tell the other hosts that it leaves; nil if it can
	KeepBip    bool         // daemon.json and docker0 stay unchanged, and Docker is not restarted
	Say        func(string) // called with the progress, for a waiting user
}

// Uninstaller removes gremesh from this host.
type Uninstaller struct {
	UninstallOptions
	parts  machine.Components
	engine mesh.Uninstall
}

// NewUninstaller returns an Uninstaller. It changes nothing yet.
func NewUninstaller(o UninstallOptions) *Uninstaller {
	p := o.Components(o.Config, machine.Underlay{}, slog.New(slog.DiscardHandler))
	return &Uninstaller{UninstallOptions: o, parts: p, engine: mesh.Uninstall{
		Switch: p.OVS, Kernel: p.Kernel, Docker: p.Docker, NAT: p.NAT, Pool: o.Config.Pool, KeepBip: o.KeepBip, Say: o.Say,
	}}
}

// WithOVS runs do while it keeps a connection to Open vSwitch.
func (u *Uninstaller) WithOVS(ctx context.Context, do func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- u.parts.OVS.Run(ctx) }()
	err := do(ctx)
	cancel()
	return errors.Join(err, <-ended)
}

// Plan returns the changes that Run would make, and changes nothing. Call it
// within WithOVS.
func (u *Uninstaller) Plan(ctx context.Context) (plan api.UninstallPlan, err error) {
	unlock, running, err := tryLockState(u.Config.StateDir)
	if err != nil {
		return plan, err
	}
	unlock()
	plan.Agent = running
	if machine.HasState(u.Config.StateDir) {
		plan.State = u.Config.StateDir
	}
	if plan.GivesUp, err = gossip.Reserved(u.Config.StateDir); err != nil {
		plan.Damaged = err.Error()
	}
	plan.UninstallPlan = u.engine.Plan(ctx)
	return plan, nil
}

// Run leaves the mesh, restores the host and removes the state. Call it within
// WithOVS.
func (u *Uninstaller) Run(ctx context.Context, plan api.UninstallPlan) error {
	unlock, running, err := tryLockState(u.Config.StateDir)
	if err != nil {
		return err
	}
	var leaveErr error
	switch {
	case running:
		u.Say("the agent leaves the mesh and ends …")
		if unlock, leaveErr, err = leaveByAgent(ctx, u.Config); err != nil {
			return err
		}
	case plan.Damaged != "":
		leaveErr = errors.New(plan.Damaged)
	case plan.GivesUp.IsValid():
		leaveErr = u.LeaveErr
	}
	defer func() { unlock() }()
	left, err := gossip.Reserved(u.Config.StateDir)
	if err == nil && (left.IsValid() || gossip.IsLeavePending(u.Config.StateDir)) && u.LeaveErr == nil {
		u.Say("leaving the mesh …")
		leaveErr = leaveAlone(ctx, u.parts, u.Config)
	}
	if leaveErr != nil {
		u.Say(fmt.Sprintf("the other hosts were not told that this host leaves: %v\nThe other hosts see this one as failed. To free its subnet, on one of them: gremesh forget %s",
			leaveErr, u.Config.Node.Name))
	}
	if err := u.engine.Run(ctx); err != nil {
		return fmt.Errorf("%w\nthe rest is done, and the state kept: correct the cause and run `gremesh uninstall` again", err)
	}
	return u.removeState()
}

func (u *Uninstaller) removeState() error {
	left, err := machine.RemoveState(u.Config)
	if err != nil {
		return err
	}
	if left != "" {
		u.Say(left + " stays: there are files in it that are not gremesh's")
	}
	u.Say("gremesh is off this host; its configuration and its binary stay, and the unit: systemctl disable gremesh")
	return nil
}
