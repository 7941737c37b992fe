package ovsdb

import (
	"maps"

	"github.com/ovn-org/libovsdb/ovsdb"
)

// withoutBFD returns the changes with new interfaces that have no BFD yet, and
// what gives it to them.
//
// A new session sends its first packet at once, and then none for up to a
// second (RFC 5880, section 6.8.3). One that is made together with its port has
// sent before ovs-vswitchd can send by that port: the packet is lost, and so is
// a second, unless the other end is made later. One that is made when
// ovs-vswitchd has set the port up is heard if the other end is there.
func withoutBFD(changes []Change) (without []Change, enable []ovsdb.Operation) {
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
