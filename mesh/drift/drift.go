package drift

import "fmt"

// Drift is one difference between the desired and the actual state.
type Drift struct {
	// Object names the thing that differs in the words of the tool that shows
	// it: "port gre43", "route 172.17.0.0/16", "daemon.json bip".
	Object string `json:"object"`
	// Is is the actual state; empty when the object is missing.
	Is string `json:"is"`
	// Should is the desired state; empty when the object should not exist.
	Should string `json:"should"`
	// Commands are the ordinary commands (ovs-vsctl, ip, sysctl) that would
	// mend it, one command line each.
	Commands []string `json:"commands,omitempty"`
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
