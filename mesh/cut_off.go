package mesh

import (
	"context"
	"slices"
	"time"

	"github.com/gremesh/gremesh/ovsdb"
)

// cutOff deletes this host's tunnels after it has lost its lease: it was
// forgotten while offline, and another host now owns its subnet. Peers no
// longer have tunnels to it, and the addresses of its containers belong to the
// other host. Everything else is left unchanged, as on any host without a
// lease.
func (l *Loop) cutOff(ctx context.Context, now time.Time, view View, have ovsdb.State, mends *mends) error {
	if !view.Lost || !slices.ContainsFunc(have.Ports, func(p ovsdb.Port) bool { return p.Ours }) {
		return nil
	}
	want := ovsdb.Spec{Bridge: l.cfg.Config.Switch, Datapath: l.cfg.Datapath, MTU: have.Bridge.MTU, Mesh: view.Mesh}
	_, _, err := l.mendSwitch(ctx, switchScene{now, view, want, have, l.cfg.in(view).Tunnel.Type}, ovsdb.Diff(want, have), mends)
	return err
}
