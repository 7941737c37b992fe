package mesh

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/gremesh/gremesh/bridge"
	"github.com/gremesh/gremesh/bridge/docker"
	"github.com/gremesh/gremesh/bridge/filter"
	"github.com/gremesh/gremesh/mesh/drift"
	"github.com/gremesh/gremesh/ovsdb"
)

// UninstallPlan lists the changes that Run would make.
type UninstallPlan struct {
	Changes  []drift.Drift `json:"changes"`
	Stays    []string      `json:"stays"`    // objects that are not restored, with the reason
	Problems []string      `json:"problems"` // components that could not be observed
}

// Plan observes this host, and changes nothing.
func (u Uninstall) Plan(ctx context.Context) UninstallPlan {
	plan := UninstallPlan{Changes: []drift.Drift{}, Stays: []string{}, Problems: []string{}}
	failed := func(err error) { plan.Problems = append(plan.Problems, err.Error()) }

	dockerd, dockerErr := u.Docker.Observe(ctx)
	former, want, err := u.host(dockerd.Running || dockerErr != nil, u.KeepBip || dockerErr != nil)
	var kernel bridge.State
	if err == nil {
		kernel, err = u.Kernel.Observe(ctx)
	}
	if err != nil {
		failed(err)
	} else {
		for _, c := range bridge.Diff(want, kernel) {
			plan.Changes = append(plan.Changes, c.Drift)
		}
		plan.Stays = append(plan.Stays, bridge.Stays(want, kernel)...)
		if former == nil && kernel.Bridge.Exists && pinned(kernel) && !u.KeepBip {
			plan.Stays = append(plan.Stays, kernel.Bridge.Name+" stays as it is: how it was before gremesh is not known, because state_dir has no host.json")
		}
	}
	if back, err := u.switchBack(); err != nil {
		failed(err)
	} else if have, err := u.Switch.Observe(ctx); err != nil {
		failed(err)
	} else {
		for _, c := range ovsdb.Diff(back, have) {
			plan.Changes = append(plan.Changes, c.Drift)
		}
		plan.Stays = append(plan.Stays, ovsdb.Retained(have)...)
	}
	if have, err := u.NAT.Observe(ctx); err == nil {
		for _, c := range filter.Diff(filter.Rules{}, have) {
			plan.Changes = append(plan.Changes, c.Drift)
		}
	} else if !errors.Is(err, filter.ErrUnable) {
		failed(err)
	}
	switch {
	case dockerErr != nil:
		failed(dockerErr)
	case u.KeepBip:
		plan.Stays = append(plan.Stays, "bip and mtu in daemon.json, and docker0 with its address, MAC and MTU, stay (--keep-bip)")
		for _, c := range withoutRestart(dockerd) {
			plan.Changes = append(plan.Changes, c.Drift)
		}
	default:
		u.planDocker(&plan, former, kernel, dockerd)
	}
	return plan
}

func (u Uninstall) planDocker(plan *UninstallPlan, former *bridge.Original, kernel bridge.State, have docker.State) {
	changes := docker.Diff(docker.Settings{Former: true}, have)
	for _, c := range changes {
		plan.Changes = append(plan.Changes, c.Drift)
	}
	plan.Stays = append(plan.Stays, docker.Stays(have)...)
	address := interim(former)
	switch {
	case have.Running && (have.NeedsRestart || len(changes) > 0 && !halfway(have)) && !unaware(former, kernel, have):
		plan.Changes = append(plan.Changes, drift.Drift{
			Object: "dockerd", Is: "running with gremesh's bip and mtu", Should: "restarted, which stops its containers",
		})
	case halfway(have) && !have.Running:
		plan.Changes = append(plan.Changes, drift.Drift{Object: "dockerd", Is: "stopped for a restart", Should: "started"})
	case !have.Running && len(changes) > 0 && have.Former.Bip == "" && address.IsValid():
		plan.Stays = append(plan.Stays, fmt.Sprintf("dockerd does not run: when it starts it takes %s up again, which it remembers in a database of its own; "+
			"to prevent that, start it before this, or once with \"bip\": %q in daemon.json", have.Bip, address))
	}
}

// unaware reports whether dockerd has never been restarted since gremesh wrote
// its bip.
func unaware(former *bridge.Original, kernel bridge.State, have docker.State) bool {
	return have.NeedsRestart && have.TransitionalBip == "" && former != nil && slices.Equal(former.Addrs, kernel.Addrs)
}
