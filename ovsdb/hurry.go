package ovsdb

import (
	"github.com/ovn-org/libovsdb/ovsdb"

	"github.com/gremesh/gremesh/mesh/drift"
)

// hurriedMinTx is one more than Open vSwitch's default of bfd:min_tx, in
// milliseconds (ovs-vswitchd.conf.db(5), Interface).
const hurriedMinTx = "101"

// Hurry returns what ends BFD handshakes that are under way on ports of ours.
// It is no difference from what should be, so neither Diff nor an audit knows
// of it, and it is done once in a port's life.
//
// Until a session is up, each end sends once a second at the most (RFC 5880,
// section 6.8.3), so that the end which hears the other's first packet keeps
// its answer back for up to a second. A change of min_tx makes Open vSwitch
// start a poll sequence (section 6.5), and that packet leaves at once.
func Hurry(have Actual) []Change {
	faster := column{name: "bfd", key: "min_tx", value: hurriedMinTx}
	var changes []Change
	for i := range have.Ports {
		p := &have.Ports[i]
		if !p.Ours || p.BFD.State != "init" || p.MinTx != "" {
			continue
		}
		changes = append(changes, Change{
			Drift: drift.Drift{Object: "interface " + p.Name + " bfd:min_tx", Should: hurriedMinTx,
				Commands: []string{setColumn("interface", p.Name, faster)}},
			ops: []ovsdb.Operation{set(tableInterface, p.iface, faster)},
		})
	}
	return changes
}
