package drift

import (
	"fmt"

	"github.com/gremesh/gremesh/mesh/reconcile"
)

// Drift is one difference between the desired and the actual state.
type Drift struct {
	// Key identifies the object. It is not in JSON, and so is zero in a Drift
	// that another process has sent.
	Key reconcile.Key `json:"-"`
	// Peer is the ID of the host that it is about; empty: none is known.
	Peer string `json:"-"`
	// Object names the thing that differs in the words of the tool that shows
	// it: "port gre43", "route 172.17.0.0/16", "daemon.json bip". It is the text
	// of Key.
	Object string `json:"object"`
	// Is is the actual state; empty when the object is missing.
	Is string `json:"is"`
	// Should is the desired state; empty when the object should not exist.
	Should string `json:"should"`
	// Commands are the ordinary commands (ovs-vsctl, ip, sysctl) that would
	// mend it, one command line each.
	Commands []string `json:"commands,omitempty"`
}

// Of returns a Drift of the object that a key identifies.
func Of(key reconcile.Key, is, should string, commands ...string) Drift {
	return Drift{Key: key, Object: key.String(), Is: is, Should: should, Commands: commands}
}

// String is the difference on one line: what is, what should be.
func (d Drift) String() string {
	switch {
	case d.Is == "":
		return fmt.Sprintf("%s: is missing, should be %s", d.Object, d.Should)
	case d.Should == "":
		return fmt.Sprintf("%s: is %s, should not exist", d.Object, d.Is)
	}
	return fmt.Sprintf("%s: is %s, should be %s", d.Object, d.Is, d.Should)
}
