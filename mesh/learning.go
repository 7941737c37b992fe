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
		What: "cannot install static MAC entries, so traffic to a host that has been silent for 300 s is flooded to all tunnels: " + have.Learns,
		Do:   "no action is needed if that is acceptable; otherwise run Open vSwitch 3.1 or later, and give the agent access to the directory of its sockets",
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
