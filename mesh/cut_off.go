package mesh

import (
	"context"
	"slices"
	"time"

	"github.com/gremesh/gremesh/ovsdb"
)

// cutOff takes the tunnels from a host that was taken off the books while it was
// away, and whose subnet another has by now: its peers have none to it, and its
// containers have addresses of the other's. All else stays as it is, as on any
// host without a lease.
func (l *Loop) cutOff(ctx context.Context, now time.Time, view View, have ovsdb.Actual, mends *mends) error {
	if !view.Lost || !slices.ContainsFunc(have.Ports, func(p ovsdb.Port) bool { return p.Ours }) {
		return nil
	}
	want := ovsdb.Switch{Bridge: l.cfg.Config.Switch, Datapath: l.cfg.Datapath, MTU: have.Bridge.MTU, Mesh: view.Mesh}
	_, _, err := l.mendSwitch(ctx, switchScene{now, view, want, have, l.cfg.in(view).Tunnel.Type}, ovsdb.Diff(want, have), mends)
	return err
}
