package mesh

import (
	"context"

	"github.com/gremesh/gremesh/bridge"
	"github.com/gremesh/gremesh/bridge/docker"
	"github.com/gremesh/gremesh/ovsdb"
)

// kernelDriver is the kernel for the engine. Three components look at it, so it
// is observed once a pass, and again after changes.
type kernelDriver struct{ l *Loop }

// Observe returns the kernel as this pass has observed it.
func (d kernelDriver) Observe(ctx context.Context) (bridge.State, error) {
	if seen := d.l.kernelSeen; seen != nil {
		return *seen, nil
	}
	have, err := d.l.cfg.Kernel.Observe(ctx)
	if err == nil {
		d.l.kernelSeen = &have
	}
	return have, err
}

// Apply changes the kernel.
func (d kernelDriver) Apply(ctx context.Context, changes []bridge.Change) error {
	d.l.kernelSeen = nil
	return d.l.cfg.Kernel.Apply(ctx, changes)
}

// Watch calls notify when Observe may return something new in the next pass.
func (d kernelDriver) Watch(ctx context.Context, notify func()) error {
	return d.l.cfg.Kernel.Watch(ctx, notify)
}

// Refresh does nothing: Loop.resync does it.
func (d kernelDriver) Refresh() {}

// dockerDriver is Docker for the engine.
type dockerDriver struct {
	Docker
	l *Loop
}

// Observe makes the kernel be observed after Docker: a dockerd that has just
// become ready has given docker0 its address.
func (d dockerDriver) Observe(ctx context.Context) (docker.State, error) {
	d.l.kernelSeen = nil
	return d.Docker.Observe(ctx)
}

// ovsDriver is Open vSwitch for the engine. The pass has observed it already,
// because the desired state depends on it.
type ovsDriver struct{ l *Loop }

// ovsObserved is what a pass observed before it called the engine.
type ovsObserved struct {
	state ovsdb.State
	err   error
}

// Observe returns what the pass has observed, once.
func (d ovsDriver) Observe(ctx context.Context) (ovsdb.State, error) {
	if seen := d.l.ovsSeen; seen != nil {
		d.l.ovsSeen = nil
		return seen.state, seen.err
	}
	return d.l.cfg.Switch.Observe(ctx)
}

// Apply changes Open vSwitch, and with it devices of the kernel.
func (d ovsDriver) Apply(ctx context.Context, changes []ovsdb.Change) error {
	d.l.kernelSeen = nil
	return d.l.cfg.Switch.Apply(ctx, changes)
}

// Changed receives when Observe may return something new in the next pass.
func (d ovsDriver) Changed() <-chan struct{} { return d.l.cfg.Switch.Changed() }

// Refresh does nothing: Loop.resync does it.
func (d ovsDriver) Refresh() {}
