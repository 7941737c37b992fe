package ovsdb

import (
	"maps"

	"github.com/ovn-org/libovsdb/ovsdb"
)

// deferBFD returns the changes with BFD removed from new interfaces, and the
// operations that enable it later.
//
// A new session sends its first packet at once, and the next one up to a second
// later (RFC 5880, section 6.8.3). If a session is created together with its
// port, it sends before ovs-vswitchd can send by that port. The packet is lost,
// and so is a second, unless the other end is created later. If the session is
// created when ovs-vswitchd has set up the port, the other end receives the
// packet if it exists.
func deferBFD(changes []Change) (without []Change, enable []ovsdb.Operation) {
	for _, change := range changes {
		ops := make([]ovsdb.Operation, len(change.ops))
		for i, op := range change.ops {
			if bfd, has := op.Row["bfd"]; has && op.Op == ovsdb.OperationInsert && op.Table == tableInterface {
				enable = append(enable, ovsdb.Operation{Op: ovsdb.OperationUpdate, Table: tableInterface,
					Where: []ovsdb.Condition{is("name", op.Row["name"])}, Row: ovsdb.Row{"bfd": bfd}})
				op.Row = maps.Clone(op.Row)
				delete(op.Row, "bfd")
			}
			ops[i] = op
		}
		change.ops = ops
		without = append(without, change)
	}
	return without, enable
}
