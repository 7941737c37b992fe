package mesh

import (
	"context"
	"slices"
	"time"

	"github.com/gremesh/gremesh/bridge"
	"github.com/gremesh/gremesh/mesh/drift"
	"github.com/gremesh/gremesh/mesh/journal"
)

// letGo detaches br0 from a docker0 that does not have the bip. It runs before
// Open vSwitch gets tunnels. Another host may have docker0's address by now,
// and without this step both would answer for it. It observes the kernel only
// if this host may have been renumbered since the kernel was last in order.
func (l *Loop) letGo(ctx context.Context, want bridge.Spec, mends *mends) error {
	last := l.lastHost()
	if last != nil && last.want.Bip == want.Bip {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, partTimeout)
	defer cancel()
	have, err := l.cfg.Kernel.Observe(ctx)
	if err != nil || !have.Bridge.Exists || slices.Contains(have.Addrs, want.Bip) {
		return err
	}
	now := hostScene{time.Now(), want, have, l.knownPeers()}
	changes, _ := due(l, mends, bridge.Diff(bridge.Spec{}, have), func(c bridge.Change) drift.Drift { return c.Drift })
	if len(changes) == 0 {
		return nil
	}
	return l.applyHost(ctx, now, last, changes, mends)
}

// applyHost applies changes to the kernel and records their causes.
func (l *Loop) applyHost(ctx context.Context, now hostScene, last *hostScene, changes []bridge.Change, mends *mends) error {
	began := time.Now()
	if err := l.cfg.Kernel.Apply(ctx, changes); err != nil {
		return err
	}
	l.engine.Notify(kernelComponent)
	var made []journal.Change
	for _, c := range changes {
		cause := l.firstCause()
		if last != nil {
			cause = now.cause(*last, mends.young(l.cfg.Ages, last.at), mends.remade, c.Key)
		}
		made = append(made, l.mended(c.Drift, began, cause))
	}
	l.cfg.History.Append(made...)
	return nil
}

// lastHost returns the kernel as it was last in order; nil: never yet.
func (l *Loop) lastHost() *hostScene {
	last, ok := l.engine.Snapshots()[kernelComponent]
	if !ok {
		return nil
	}
	scene := hostSceneOf(last)
	return &scene
}
