package mesh

import (
	"context"
	"slices"
	"time"

	"github.com/gremesh/gremesh/bridge"
	"github.com/gremesh/gremesh/mesh/drift"
	"github.com/gremesh/gremesh/mesh/history"
)

// letGo takes br0 out of a docker0 that has another address than the bip, before
// Open vSwitch gets tunnels for it: what docker0 has may be another host's by
// now, and would be answered for by two. It looks only when this host may have
// been renumbered since the kernel was last in order.
func (l *Loop) letGo(ctx context.Context, want bridge.Host, mends *mends) error {
	if last := l.scenes.host; last != nil && last.want.Bip == want.Bip {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, partTimeout)
	defer cancel()
	have, err := l.cfg.Kernel.Observe(ctx)
	if err != nil || !have.Bridge.Exists || slices.Contains(have.Addrs, want.Bip) {
		return err
	}
	now := hostScene{time.Now(), want, have, l.knownPeers()}
	changes, _ := due(l, mends, bridge.Diff(bridge.Host{}, have), func(c bridge.Change) drift.Drift { return c.Drift })
	if len(changes) == 0 {
		return nil
	}
	return l.applyHost(ctx, now, changes, mends)
}

// applyHost makes changes to the kernel and records why.
func (l *Loop) applyHost(ctx context.Context, now hostScene, changes []bridge.Change, mends *mends) error {
	began := time.Now()
	if err := l.cfg.Kernel.Apply(ctx, changes); err != nil {
		return err
	}
	var made []history.Change
	for _, c := range changes {
		cause := l.firstCause()
		if last := l.scenes.host; last != nil {
			cause = now.cause(*last, mends.young(l.cfg.Ages, last.at), mends.remade, c.Drift)
		}
		made = append(made, l.mended(c.Drift, began, cause))
	}
	l.cfg.History.Append(made...)
	return nil
}
