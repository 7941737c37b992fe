package docker

import (
	"net/netip"
	"slices"
	"strconv"

	"github.com/gremesh/gremesh/mesh/drift"
	"github.com/gremesh/gremesh/mesh/reconcile"
)

// State is the observed state of daemon.json and of the dockerd that should
// have read it.
type State struct {
	Bip     string // as written; empty if not set
	MTU     int    // bytes; 0 if not set
	Direct  string // "allow-direct-routing": true or false; empty if not set
	Accept  string // "bridge-accept-fwmark" as written; empty if not set
	Running bool   // a dockerd of the host's root user runs in this network namespace
	// Starting reports whether the running dockerd does not answer yet. Nothing
	// else is known about it then.
	Starting bool
	// Silent is set if the running dockerd has not answered for a minute
	// (startTime). Starting is then true, too.
	Silent *Trouble
	// Network is the address that the running dockerd uses for docker0, with
	// its prefix length. It is zero if unknown.
	Network netip.Prefix
	// NeedsRestart reports whether Docker must be restarted, because the running
	// dockerd uses another bip than daemon.json has. If the two cannot be
	// compared, a dockerd that had started with other values before our last
	// write is stale. The same applies after the original values were restored.
	NeedsRestart bool
	// Futile explains why dockerd would not use the bip even after a restart.
	// It is nil if a restart would help, or if none is needed.
	Futile *Trouble
	// Misread is set if the running dockerd reads another file than
	// Config.Path. gremesh must not write its file then.
	Misread *Trouble
	// Unsupported is set if this host's Docker is of a kind that gremesh does
	// not support. gremesh leaves it unchanged.
	Unsupported *Trouble
	// RunningMTU is the MTU, in bytes, that dockerd started with and gives to
	// containers, while daemon.json has another MTU and the same bip. It is 0
	// otherwise. It is no reason to restart Docker.
	RunningMTU int
	// Obstacle is the reason why Docker drops packets to containers that arrive
	// by the NIC, without a tunnel. If this cannot be found out, Obstacle is
	// the cause of that. It is empty if Docker lets the packets through, or if
	// Config.Direct is not set.
	Obstacle          string
	SupportsDirectKey bool // the next dockerd accepts "allow-direct-routing" in the file
	Refuses           bool // the next dockerd does not start with it; neither is set if its version is unknown

	AcceptTakes   bool // the next dockerd needs "bridge-accept-fwmark" and knows it
	AcceptRefuses bool // the next dockerd does not need or know it; neither is set if that is unknown
	AcceptUnread  bool // the running dockerd started with another value than the file has

	Former *Values  // before gremesh's first write; nil if gremesh has written nothing
	Lost   *Trouble // set if the original values of some keys are unknown
	// Unrecorded reports whether the record of Former was lost and rebuilt, but
	// is not on disk yet. Apply without changes writes it.
	Unrecorded      bool
	Written         Values // the values that gremesh wrote last
	TransitionalBip string // the bip that was written only for dockerd's next start
}

// Change is one key of daemon.json that differs from the desired state. It has
// no command, because no common command edits JSON in place.
type Change struct {
	drift.Drift
	key  key
	back bool // restores the original value
}

// Restarts reports whether dockerd must be restarted after this key was
// restored. A key that only lets more packets through needs no restart.
func (c Change) Restarts() bool { return c.key.name != directKey && c.key.name != acceptKey }

// keyOf returns the reconcile key of a key of daemon.json.
func keyOf(name string) reconcile.Key {
	return reconcile.Key{Component: component, Kind: "daemon.json", Name: name}
}

// Diff returns the keys that must change. It returns none for the zero
// Settings.
func Diff(want Settings, have State) []Change {
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
	case want.Direct && have.SupportsDirectKey:
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

// Restarts reports whether a running dockerd must be restarted after the
// changes were made. A new bip needs a restart, and a new MTU alone does not. A
// new "allow-direct-routing" does not either, because packets take another path
// until dockerd restarts.
func Restarts(changes []Change) bool {
	return slices.ContainsFunc(changes, func(c Change) bool { return c.key.name == "bip" })
}

func number(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}
