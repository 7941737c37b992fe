package mesh

import (
	"slices"
	"time"

	"github.com/gremesh/gremesh/ovsdb"
)

// learning returns a problem if Open vSwitch does not support static MAC
// entries for the docker0 of each peer. Then it learns the addresses like any
// switch. The only disadvantage is that it floods packets to silent hosts.
func learning(want ovsdb.Spec, have ovsdb.State) []Problem {
	pinned := slices.ContainsFunc(want.Tunnels, func(t ovsdb.Tunnel) bool { return t.MAC != ovsdb.MAC{} })
	if have.StaticFDBError == "" || !pinned {
		return nil
	}
	return []Problem{{
		What: "cannot install static MAC entries, so traffic to a host that has been silent for 300 s is flooded to all tunnels: " + have.StaticFDBError,
		Do:   "no action is needed if that is acceptable; otherwise run Open vSwitch 3.1 or later, and give the agent access to the directory of its sockets",
	}}
}

// resync makes the components read again the state for which there are no
// events, if the last time was resyncEvery ago. It returns the time of the next
// resync.
func (l *Loop) resync(now time.Time) (again time.Time) {
	if now.Sub(l.anew) >= resyncEvery {
		l.anew, l.seen = now, seen{}
		l.engine.Notify(engineComponents...)
		l.cfg.Switch.Refresh()
		l.cfg.Kernel.Refresh()
	}
	return l.anew.Add(resyncEvery)
}
