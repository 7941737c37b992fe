package docker

import (
	"net/netip"
	"slices"
	"strconv"

	"github.com/gremesh/gremesh/mesh/drift"
	"github.com/gremesh/gremesh/mesh/reconcile"
)

// Actual is daemon.json and the dockerd that should have read it.
type Actual struct {
	Bip     string // as written; empty: not set
	MTU     int    // bytes; 0: not set
	Direct  string // "allow-direct-routing", true or false; empty: not set
	Accept  string // "bridge-accept-fwmark", as written; empty: not set
	Running bool   // a dockerd of the host's root runs in this network namespace
	// Starting reports whether it does not answer yet: nothing can be said of it.
	Starting bool
	// Silent is set if it has not answered for long; then Starting is true too.
	Silent *Trouble
	// Network is the address of Docker's own network for docker0 with its prefix
	// length, as the dockerd that runs has it; zero if unknown.
	Network netip.Prefix
	// Stale says that the dockerd that runs uses another bip than daemon.json has:
	// it must be restarted to take the new one.
	Stale bool
	// Futile is why a restart would not make it take the bip; nil: it would.
	Futile *Trouble
	// Misread is set if dockerd reads another file than ours, which is then not to
	// be written.
	Misread *Trouble
	// Unsupported is set if this host's Docker is of a kind that gremesh leaves
	// alone.
	Unsupported *Trouble
	// Behind is the MTU, in bytes, that dockerd was started with and gives to
	// containers, while daemon.json has another one and the same bip; 0: none. It
	// is no reason for a restart.
	Behind int
	// Obstacle is why Docker does not let packets through to containers that
	// come by the NIC, without a tunnel; empty: it does. Only a Daemon that is
	// configured to looks at that.
	Obstacle string
	Takes    bool // the dockerd that starts next takes "allow-direct-routing" from the file
	Refuses  bool // it does not start with it; neither, if its version is not known

	AcceptTakes   bool // the dockerd that starts next needs "bridge-accept-fwmark" and knows it
	AcceptRefuses bool // it does not; neither, if that is not known
	AcceptUnread  bool // the dockerd that runs has started without it

	Former *Values  // before gremesh's first write; nil: it has written nothing
	Lost   *Trouble // set if Former is not known for some keys
	// Unrecorded reports whether the record of Former was lost and made again, and
	// is not on disk yet: Apply without changes writes it.
	Unrecorded bool
	Written    Values // what gremesh has written last
	Interim    string // the bip that was written for dockerd's next start only
}

// Change is one key of daemon.json that differs. It has no command: no
// ordinary one edits JSON in place.
type Change struct {
	drift.Drift
	key  key
	back bool // it puts back what was
}

// Restarts tells whether dockerd must be restarted for a key that is put back:
// not for those that only let more through.
func (c Change) Restarts() bool { return c.key.name != directKey && c.key.name != acceptKey }

// keyOf identifies a key of daemon.json.
func keyOf(name string) reconcile.Key {
	return reconcile.Key{Component: component, Kind: "daemon.json", Name: name}
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
				Drift: drift.Of(keyOf(name), is, should),
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
	switch {
	case want.Direct && have.Takes:
		differ(directKey, have.Direct, "true", "true")
	case (!want.Direct || have.Refuses) && have.Written.Direct != "" && have.Direct == have.Written.Direct && want.Bip.IsValid():
		former := ""
		if have.Former != nil {
			former = have.Former.Direct
		}
		differ(directKey, have.Direct, former, former)
	}
	if should, ok := diffAccept(want, have); ok {
		differ(acceptKey, have.Accept, should, quoted(should))
	}
	return all
}

// Restarts tells whether a dockerd that runs must be restarted when the changes
// have been made: for another bip, and not for another MTU alone,
// nor for "allow-direct-routing": packets have another way until then.
func Restarts(changes []Change) bool {
	return slices.ContainsFunc(changes, func(c Change) bool { return c.key.name == "bip" })
}

func number(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}
