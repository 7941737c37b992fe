package docker

import (
	"slices"
	"strconv"

	"github.com/gremesh/gremesh/mesh/drift"
)

// Actual is daemon.json and the dockerd that should have read it.
type Actual struct {
	Bip string // as written; empty: not set
	MTU int    // bytes; 0: not set
	// Stale says that a dockerd still runs that started before our last write,
	// with another bip: it must be restarted to take the new one.
	Stale bool
	// Behind is the MTU, in bytes, that a dockerd was started with and gives to
	// containers, while daemon.json has another one by our last write and the
	// same bip; 0: none. It is no reason for a restart.
	Behind  int
	Running bool // a dockerd runs in this network namespace

	Former  *Values // before gremesh's first write; nil: it has written nothing
	Written Values  // what gremesh has written last
	Interim string  // the bip that was written for dockerd's next start only
}

// Change is one key of daemon.json that differs. It has no command: no
// ordinary one edits JSON in place.
type Change struct {
	drift.Drift
	key  key
	back bool // it puts back what was
}

// Diff returns the keys that must change; for the zero Settings none.
func Diff(want Settings, have Actual) []Change {
	if want.Former {
		return diffFormer(want, have)
	}
	var all []Change
	differ := func(name, is, should, value string) {
		if is != should {
			all = append(all, Change{
				Drift: drift.Drift{Object: "daemon.json " + name, Is: is, Should: should},
				key:   key{name, value},
			})
		}
	}
	if want.Bip.IsValid() {
		differ("bip", have.Bip, want.Bip.String(), strconv.Quote(want.Bip.String()))
	}
	if want.MTU != 0 {
		differ("mtu", number(have.MTU), strconv.Itoa(want.MTU), strconv.Itoa(want.MTU))
	}
	return all
}

// Restarts tells whether a dockerd that runs must be restarted when the changes
// have been made: for another bip, and not for another MTU alone.
func Restarts(changes []Change) bool {
	return slices.ContainsFunc(changes, func(c Change) bool { return c.key.name == "bip" })
}

func number(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}
