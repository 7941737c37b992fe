package mesh

import (
	"slices"
	"time"

	"github.com/gremesh/gremesh/ovsdb"
)

// learning says that Open vSwitch can't be told where the peers' docker0s are.
// It learns that then, as switches do, and no more is lost by it than quiet.
func learning(want ovsdb.Switch, have ovsdb.Actual) []Problem {
	pinned := slices.ContainsFunc(want.Tunnels, func(t ovsdb.Tunnel) bool { return t.MAC != ovsdb.MAC{} })
	if have.Learns == "" || !pinned {
		return nil
	}
	return []Problem{{
		What: "Open vSwitch learns which tunnel leads to which host: what goes to one that has been silent for 300 s goes to all. " + have.Learns,
		Do:   "nothing, if that will do; else run Open vSwitch 3.1 or later, with the folder of its sockets within the agent's reach",
	}}
}

// resync has what gives no notice looked at anew, if that was long ago, and
// returns when it is due again.
func (l *Loop) resync(now time.Time) (again time.Time) {
	if now.Sub(l.anew) >= resyncEvery {
		l.anew, l.seen = now, seen{}
		l.cfg.Switch.Refresh()
		l.cfg.Kernel.Refresh()
	}
	return l.anew.Add(resyncEvery)
}
