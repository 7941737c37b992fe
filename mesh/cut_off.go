package mesh

import (
	"context"
	"slices"
	"time"

	"github.com/gremesh/gremesh/mesh/journal"
	"github.com/gremesh/gremesh/ovsdb"
)

// cutOff deletes this host's tunnels after it has lost its lease: it was
// forgotten while offline, and another host now owns its subnet. Peers no
// longer have tunnels to it, and the addresses of its containers belong to the
// other host. Everything else is left unchanged, as on any host without a
// lease.
func (l *Loop) cutOff(ctx context.Context, now time.Time, view View, have ovsdb.State) error {
	if !view.Lost || !slices.ContainsFunc(have.Ports, func(p ovsdb.Port) bool { return p.Ours }) {
		return nil
	}
	want := ovsdb.Spec{Bridge: l.cfg.Config.Switch, Datapath: l.cfg.Datapath, MTU: have.Bridge.MTU, Mesh: view.Mesh}
	changes := ovsdb.Diff(want, have)
	if len(changes) == 0 {
		return nil
	}
	if err := l.cfg.Switch.Apply(ctx, changes); err != nil {
		return err
	}
	scene := &switchScene{now, view, want, have, l.cfg.in(view).Tunnel.Type}
	last, ok := l.engine.Snapshots()[ovsComponent]
	var made []journal.Change
	for _, c := range changes {
		cause := l.firstCause()
		if ok {
			cause = scene.cause(l.switchSceneOf(last), l.mends.young(l.cfg.Ages, last.At), c.Drift)
		}
		made = append(made, l.logged(c.Drift, now, cause))
	}
	l.cfg.History.Append(made...)
	l.cut = scene
	return nil
}
