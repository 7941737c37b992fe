package mesh

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/gremesh/gremesh/bridge"
	"github.com/gremesh/gremesh/bridge/docker"
	"github.com/gremesh/gremesh/ovsdb"
)

// Uninstall removes gremesh from this host: it applies Diff with an empty
// desired state, and restores the original state. No agent may be running. It
// can be interrupted at any point and run again.
type Uninstall struct {
	Switch  FormerSwitch
	Kernel  FormerKernel
	Docker  Docker
	NAT     NAT
	Pool    netip.Prefix
	KeepBip bool         // daemon.json and docker0 stay unchanged, and Docker is not restarted
	Say     func(string) // called before each slow step
}

// FormerSwitch is Open vSwitch with its original state. The original state is
// nil if gremesh has changed no bridge of another program.
type FormerSwitch interface {
	Observe(context.Context) (ovsdb.State, error)
	Apply(context.Context, []ovsdb.Change) error
	Former() (*ovsdb.Original, error)
}

// FormerKernel is the Linux networking state of this host with its original
// state. The original state is nil if gremesh has changed nothing.
type FormerKernel interface {
	Observe(context.Context) (bridge.State, error)
	Apply(context.Context, []bridge.Change) error
	Former() (*bridge.Original, error)
}

// rounds limits how often the kernel is observed and corrected: if an address
// is removed, the kernel removes routes with it.
const rounds = 3

// Run undoes everything that it can, even if some steps fail. Its error lists
// the failed steps; then run it again.
func (u Uninstall) Run(ctx context.Context) error {
	var errs []error
	// Docker's bridge comes last, because containers use it until Docker is
	// restarted.
	errs = append(errs, u.putBackHost(ctx, true, true))
	errs = append(errs, u.putBackSwitch(ctx))
	errs = append(errs, u.putBackNAT(ctx))
	running, keep := true, true
	if u.KeepBip {
		errs = append(errs, u.putBackDirect(ctx))
	} else {
		var err error
		if running, err = u.putBackDocker(ctx); err != nil {
			errs = append(errs, err)
		} else {
			keep = false
		}
	}
	errs = append(errs, u.putBackHost(ctx, running, keep))
	return errors.Join(unlike(errs)...)
}

// unlike drops duplicate errors.
func unlike(errs []error) []error {
	var all []error
	for _, err := range errs {
		if err != nil && !slices.ContainsFunc(all, func(e error) bool { return e.Error() == err.Error() }) {
			all = append(all, err)
		}
	}
	return all
}

// host returns the desired state of the kernel.
func (u Uninstall) host(dockerRuns, keepBridge bool) (*bridge.Original, bridge.Spec, error) {
	former, err := u.Kernel.Former()
	if err != nil || former == nil {
		return nil, bridge.Spec{}, err
	}
	shared, err := u.Switch.Former()
	if err != nil {
		return nil, bridge.Spec{}, err
	}
	back := &bridge.RestoreSpec{Original: *former, Pool: u.Pool, KeepBridge: keepBridge, Docker: dockerRuns}
	if shared == nil { // gremesh created the bridge, so its device is deleted with it
		back.Original.OVSPort = bridge.OriginalLink{}
	}
	return former, bridge.Spec{Restore: back}, nil
}

func (u Uninstall) putBackHost(ctx context.Context, dockerRuns, keepBridge bool) error {
	ctx, cancel := context.WithTimeout(ctx, partTimeout)
	defer cancel()
	_, want, err := u.host(dockerRuns, keepBridge)
	if err != nil {
		return err
	}
	for range rounds {
		have, err := u.Kernel.Observe(ctx)
		if err != nil {
			return fmt.Errorf("remove routes and restore addresses: %w", err)
		}
		changes := bridge.Diff(want, have)
		if len(changes) == 0 {
			return nil
		}
		if err := u.Kernel.Apply(ctx, changes); err != nil {
			return fmt.Errorf("remove routes and restore addresses: %w", err)
		}
	}
	return nil
}

func (u Uninstall) switchBack() (ovsdb.Spec, error) {
	former, err := u.Switch.Former()
	if former == nil {
		former = &ovsdb.Original{}
	}
	return ovsdb.Spec{Back: former}, err
}

func (u Uninstall) putBackSwitch(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, partTimeout)
	defer cancel()
	want, err := u.switchBack()
	if err != nil {
		return err
	}
	have, err := u.Switch.Observe(ctx)
	if err != nil {
		return fmt.Errorf("remove the tunnels: %w", err)
	}
	changes := ovsdb.Diff(want, have)
	if len(changes) == 0 {
		return nil
	}
	if err := u.Switch.Apply(ctx, changes); err != nil {
		return fmt.Errorf("remove the tunnels: %w", err)
	}
	return nil
}

func (u Uninstall) putBackNAT(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, partTimeout)
	defer cancel()
	if err := dropNAT(ctx, u.NAT); err != nil {
		return fmt.Errorf("remove the packet filter's rules: %w", err)
	}
	return nil
}

// putBackDocker restores the keys of daemon.json, and restarts a dockerd that
// was started with gremesh's values. It reports whether a dockerd runs.
func (u Uninstall) putBackDocker(ctx context.Context) (running bool, err error) {
	have, err := u.Docker.Observe(ctx)
	if err != nil {
		return true, err
	}
	former, err := u.Kernel.Former()
	if err != nil {
		return true, err
	}
	kernel, err := u.Kernel.Observe(ctx)
	if err != nil {
		return true, err
	}
	if have, err = u.answering(ctx, have); err != nil {
		return true, err
	}
	settings := docker.Settings{Former: true}
	if have.Running && !unaware(former, kernel, have) || halfway(have) {
		// dockerd must start once with this address; see docker.Settings.
		settings.TransitionalBip = interim(former)
		if have, err = u.write(ctx, settings, have); err != nil {
			return true, err
		}
		if have.NeedsRestart || !have.Running || have.Starting {
			if have, err = u.restart(ctx, former); err != nil {
				return true, err
			}
		}
		settings.TransitionalBip = netip.Prefix{}
	}
	have, err = u.write(ctx, settings, have)
	return have.Running, err
}

// putBackDirect restores the keys of daemon.json that are not related to the
// bip.
func (u Uninstall) putBackDirect(ctx context.Context) error {
	have, err := u.Docker.Observe(ctx)
	if err != nil {
		return err
	}
	return u.Docker.Apply(ctx, withoutRestart(have))
}

// withoutRestart returns the changes to daemon.json that need no restart of
// dockerd.
func withoutRestart(have docker.State) []docker.Change {
	return slices.DeleteFunc(docker.Diff(docker.Settings{Former: true}, have), docker.Change.Restarts)
}

func (u Uninstall) write(ctx context.Context, want docker.Settings, have docker.State) (docker.State, error) {
	if err := u.Docker.Apply(ctx, docker.Diff(want, have)); err != nil {
		return have, err
	}
	return u.Docker.Observe(ctx)
}

// restart first restores docker0's MAC and MTU, so that no container learns
// gremesh's values, and then restarts Docker.
func (u Uninstall) restart(ctx context.Context, former *bridge.Original) (docker.State, error) {
	if err := u.futile(ctx); err != nil {
		return docker.State{}, err
	}
	if err := u.putBackLink(ctx, former); err != nil {
		return docker.State{}, err
	}
	u.Say("restarting Docker …")
	// The restart must not be interrupted between stop and start.
	whole, cancel := context.WithTimeout(context.WithoutCancel(ctx), docker.RestartTimeout)
	defer cancel()
	if err := u.Docker.Restart(whole); err != nil {
		return docker.State{}, fmt.Errorf("%w; restart it, and run this again", err)
	}
	have, err := u.Docker.Observe(ctx)
	if err == nil && have.NeedsRestart {
		err = errors.New("dockerd has not been restarted; restart it, and run this again")
	}
	return have, err
}

// futile returns an error if dockerd would not take its original bip after a
// restart. Such a restart would stop containers without any effect.
func (u Uninstall) futile(ctx context.Context) error {
	have, err := u.Docker.Observe(ctx)
	if err != nil || have.Futile == nil {
		return err
	}
	return fmt.Errorf("%w; %s, and run this again", have.Futile, have.Futile.Do)
}

func (u Uninstall) putBackLink(ctx context.Context, former *bridge.Original) error {
	if former == nil {
		return nil
	}
	have, err := u.Kernel.Observe(ctx)
	if err != nil {
		return err
	}
	want := bridge.Spec{Restore: &bridge.RestoreSpec{Original: *former, Pool: u.Pool, Docker: true}}
	link := slices.DeleteFunc(bridge.Diff(want, have), func(c bridge.Change) bool {
		return c.Key.Kind != "link" || c.Key.Name != have.Bridge.Name || c.Key.Field == "" || c.Should == "down"
	})
	return u.Kernel.Apply(ctx, link)
}

// halfway reports whether an earlier run was interrupted while it restarted
// Docker.
func halfway(have docker.State) bool {
	return have.TransitionalBip != "" && have.Bip == have.TransitionalBip
}

// interim returns the address that docker0 had before gremesh; zero: none.
func interim(former *bridge.Original) netip.Prefix {
	if former == nil || !former.Bridge.Exists || len(former.Addrs) == 0 {
		return netip.Prefix{}
	}
	return former.Addrs[0]
}

// pinned reports whether docker0 has the MAC address that gremesh assigns.
func pinned(have bridge.State) bool {
	return slices.ContainsFunc(have.Addrs, func(a netip.Prefix) bool { return bridge.MAC(a.Addr()).String() == have.Bridge.MAC.String() })
}
