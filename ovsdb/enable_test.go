package ovsdb

import (
	"net/netip"
	"testing"

	"github.com/ovn-org/libovsdb/ovsdb"
)

func TestANewPortGetsBFDAfterAllElse(t *testing.T) {
	want := Spec{Bridge: "br0", Tunnels: []Tunnel{
		{Name: "gre43", Type: "gre", BFD: true, Remote: netip.MustParseAddr("192.0.2.43")},
		{Name: "gre44", Type: "gre", Remote: netip.MustParseAddr("192.0.2.44")},
	}}
	changes := Diff(want, State{Bridge: Bridge{Name: "br0", Exists: true}})
	first, then := deferBFD(changes)
	inserts := 0
	for i, change := range first {
		for j, op := range change.ops {
			if op.Op != ovsdb.OperationInsert || op.Table != tableInterface {
				continue
			}
			inserts++
			if op.Row["bfd"] != nil || op.Row["options"] == nil {
				t.Errorf("made with %v", op.Row)
			}
			if was := changes[i].ops[j].Row; (was["bfd"] != nil) != (was["name"] == "gre43") {
				t.Errorf("the change itself became %v", was)
			}
		}
	}
	if inserts != 2 || len(then) != 1 || then[0].Table != tableInterface || len(then[0].Row) != 1 || then[0].Row["bfd"] == nil {
		t.Errorf("%d interfaces, then %+v", inserts, then)
	}
}
