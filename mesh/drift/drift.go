package drift

import (
	"fmt"

	"github.com/gremesh/gremesh/mesh/reconcile"
)

// Drift is one difference between the desired and the observed state.
type Drift struct {
	// Key identifies the object. It is not in the JSON form, so it is zero in a
	// Drift that came from another process.
	Key reconcile.Key `json:"-"`
	// Peer is the ID of the peer host that the difference concerns. It is empty
	// if no peer is known.
	Peer string `json:"-"`
	// Object is the text of Key. It names the object in the words of the tool
	// that shows it: "port gre43", "route 172.17.0.0/16", "daemon.json bip".
	Object string `json:"object"`
	// Is is the observed state. It is empty if the object is missing.
	Is string `json:"is"`
	// Should is the desired state. It is empty if the object should not exist.
	Should string `json:"should"`
	// Commands are ordinary commands (ovs-vsctl, ip, sysctl) that would correct
	// the difference, one command line each.
	Commands []string `json:"commands,omitempty"`
}

// Of returns the Drift of the object that key identifies.
func Of(key reconcile.Key, is, should string, commands ...string) Drift {
	return Drift{Key: key, Object: key.String(), Is: is, Should: should, Commands: commands}
}

// String returns the difference on one line: the observed and the desired
// state.
func (d Drift) String() string {
	switch {
	case d.Is == "":
		return fmt.Sprintf("%s: is missing, should be %s", d.Object, d.Should)
	case d.Should == "":
		return fmt.Sprintf("%s: is %s, should not exist", d.Object, d.Is)
	}
	return fmt.Sprintf("%s: is %s, should be %s", d.Object, d.Is, d.Should)
}
