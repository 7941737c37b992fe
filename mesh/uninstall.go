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

// Uninstall takes gremesh off this host: Diff against nothing at all, with what
// there was before gremesh put back. No agent may be running. It can be
// interrupted anywhere and begun again.
type Uninstall struct {
	Switch  FormerSwitch
	Kernel  FormerKernel
	Docker  Docker
	NAT     NAT
	Pool    netip.Prefix
	KeepBip bool         // daemon.json and docker0 stay as they are, and Docker is not restarted
	Say     func(string) // told before what takes long
}

// FormerSwitch is Open vSwitch, and how it was before gremesh; nil: no bridge
// of others has been changed.
type FormerSwitch interface {
	Observe(context.Context) (ovsdb.Actual, error)
	Apply(context.Context, []ovsdb.Change) error
	Former() (*ovsdb.Former, error)
}

// FormerKernel is the Linux side of this host, and how it was before gremesh;
// nil: gremesh has changed nothing.
type FormerKernel interface {
	Observe(context.Context) (bridge.Actual, error)
	Apply(context.Context, []bridge.Change) error
	Former() (*bridge.Former, error)
}

// rounds bounds how often the kernel is looked at again: an address that goes
// takes routes with it.
const rounds = 3

// Run undoes all that it can, whatever fails. It returns what could not be
// undone: then it is to be run again.
func (u Uninstall) Run(ctx context.Context) error {
	var errs []error
	// Docker's bridge comes last, for containers run on it until Docker is
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

// unlike drops an error that was met twice.
func unlike(errs []error) []error {
	var all []error
	for _, err := range errs {
		if err != nil && !slices.ContainsFunc(all, func(e error) bool { return e.Error() == err.Error() }) {
			all = append(all, err)
		}
	}
	return all
}

// host is what the kernel should be.
func (u Uninstall) host(dockerRuns, keepBridge bool) (*bridge.Former, bridge.Host, error) {
	former, err := u.Kernel.Former()
	if err != nil || former == nil {
		return nil, bridge.Host{}, err
	}
	shared, err := u.Switch.Former()
	if err != nil {
		return nil, bridge.Host{}, err
	}
	back := &bridge.Back{Former: *former, Pool: u.Pool, KeepBridge: keepBridge, Docker: dockerRuns}
	if shared == nil { // it was made by gremesh, and goes with its bridge
		back.Former.Port = bridge.FormerLink{}
	}
	return former, bridge.Host{Back: back}, nil
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

func (u Uninstall) switchBack() (ovsdb.Switch, error) {
	former, err := u.Switch.Former()
	if former == nil {
		former = &ovsdb.Former{}
	}
	return ovsdb.Switch{Back: former}, err
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

// putBackDocker gives daemon.json its keys as they were and restarts a dockerd
// that has started with gremesh's. It reports whether one runs.
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
		// dockerd must be started with the address once; see docker.Settings.
		settings.Interim = interim(former)
		if have, err = u.write(ctx, settings, have); err != nil {
			return true, err
		}
		if have.Stale || !have.Running || have.Starting {
			if have, err = u.restart(ctx, former); err != nil {
				return true, err
			}
		}
		settings.Interim = netip.Prefix{}
	}
	have, err = u.write(ctx, settings, have)
	return have.Running, err
}

// putBackDirect gives daemon.json what does not go with the bip.
func (u Uninstall) putBackDirect(ctx context.Context) error {
	have, err := u.Docker.Observe(ctx)
	if err != nil {
		return err
	}
	return u.Docker.Apply(ctx, withoutRestart(have))
}

// withoutRestart are the keys of daemon.json that dockerd need not be restarted
// for when they are put back.
func withoutRestart(have docker.Actual) []docker.Change {
	return slices.DeleteFunc(docker.Diff(docker.Settings{Former: true}, have), docker.Change.Restarts)
}

func (u Uninstall) write(ctx context.Context, want docker.Settings, have docker.Actual) (docker.Actual, error) {
	if err := u.Docker.Apply(ctx, docker.Diff(want, have)); err != nil {
		return have, err
	}
	return u.Docker.Observe(ctx)
}

// restart has docker0's MAC and MTU put back first, so that no container knows
// the others.
func (u Uninstall) restart(ctx context.Context, former *bridge.Former) (docker.Actual, error) {
	if err := u.futile(ctx); err != nil {
		return docker.Actual{}, err
	}
	if err := u.putBackLink(ctx, former); err != nil {
		return docker.Actual{}, err
	}
	u.Say("restarting Docker …")
	// Not to be ended between stop and start.
	whole, cancel := context.WithTimeout(context.WithoutCancel(ctx), restartTimeout)
	defer cancel()
	if err := u.Docker.Restart(whole); err != nil {
		return docker.Actual{}, fmt.Errorf("%w; restart it, and run this again", err)
	}
	have, err := u.Docker.Observe(ctx)
	if err == nil && have.Stale {
		err = errors.New("dockerd has not been restarted; restart it, and run this again")
	}
	return have, err
}

// futile is an error if a restart would not make Docker take its former bip: it
// would stop containers for nothing.
func (u Uninstall) futile(ctx context.Context) error {
	have, err := u.Docker.Observe(ctx)
	if err != nil || have.Futile == nil {
		return err
	}
	return fmt.Errorf("%w; %s, and run this again", have.Futile, have.Futile.Do)
}

func (u Uninstall) putBackLink(ctx context.Context, former *bridge.Former) error {
	if former == nil {
		return nil
	}
	have, err := u.Kernel.Observe(ctx)
	if err != nil {
		return err
	}
	want := bridge.Host{Back: &bridge.Back{Former: *former, Pool: u.Pool, Docker: true}}
	link := slices.DeleteFunc(bridge.Diff(want, have), func(c bridge.Change) bool {
		return c.Key.Kind != "link" || c.Key.Name != have.Bridge.Name || c.Key.Field == "" || c.Should == "down"
	})
	return u.Kernel.Apply(ctx, link)
}

// halfway tells whether an earlier run was ended while it had Docker restarted.
func halfway(have docker.Actual) bool { return have.Interim != "" && have.Bip == have.Interim }

// interim is the address that docker0 had before gremesh; zero: none.
func interim(former *bridge.Former) netip.Prefix {
	if former == nil || !former.Bridge.Exists || len(former.Addrs) == 0 {
		return netip.Prefix{}
	}
	return former.Addrs[0]
}

// pinned tells whether docker0 has the MAC address that gremesh gives it.
func pinned(have bridge.Actual) bool {
	return slices.ContainsFunc(have.Addrs, func(a netip.Prefix) bool { return bridge.MAC(a.Addr()).String() == have.Bridge.MAC.String() })
}
