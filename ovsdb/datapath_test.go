package ovsdb_test

import (
	"errors"
	"testing"
	"time"

	"github.com/gremesh/gremesh/ovsdb"
)

func TestCheckTellsWhetherOpenVSwitchAnswersAndHasTheDatapath(t *testing.T) {
	o := startOVS(t)
	if err := ovsdb.Check(t.Context(), o.DB, "br0", "netdev"); err != nil {
		t.Errorf("the userspace datapath: %v", err)
	}
	var lacking *ovsdb.NoDatapathError
	eventually(t, soon, "a datapath that no switch has is missed", func() bool { // once ovs-vswitchd has written its types
		err := ovsdb.Check(t.Context(), o.DB, "br0", "warp")
		return errors.As(err, &lacking) && lacking.Type == "warp"
	})
	o.kill(&o.switchd)
	for deadline := time.Now().Add(soon); ; time.Sleep(10 * time.Millisecond) {
		err := ovsdb.Check(t.Context(), o.DB, "br0", "netdev")
		if err != nil && !errors.As(err, &lacking) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("without ovs-vswitchd: %v", err)
		}
	}
	o.kill(&o.server)
	if err := ovsdb.Check(t.Context(), o.DB, "br0", "netdev"); err == nil || errors.As(err, &lacking) {
		t.Errorf("without ovsdb-server: %v", err)
	}
}
