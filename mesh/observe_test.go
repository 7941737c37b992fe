package mesh

import (
	"encoding/json"
	"errors"
	"net/netip"
	"strings"
	"testing"
)

func TestStatusHasTheViewsProblemsBeforeTheFirstPassAndNeverNull(t *testing.T) {
	w := planned()
	l := w.loop()
	if b, err := json.Marshal(l.Status(t.Context())); err != nil || !strings.Contains(string(b), `"problems":[]`) {
		t.Errorf("%s, %v", b, err)
	}
	w.view.Problems = []Problem{{What: "the disk is full"}}
	if !w.says(l, "the disk is full") {
		t.Error("not told before the first pass")
	}
	pass(t, l)
	w.view.Problems = nil
	if w.says(l, "the disk is full") {
		t.Error("told still, though it is over")
	}
}

func TestStatusLeavesOutHostsThatLeftAndHoldNothing(t *testing.T) {
	gone, silent := testHost(2), testHost(3)
	gone.Liveness, gone.Subnet = Left, netip.Prefix{}
	silent.Liveness, silent.Subnet = Failed, netip.Prefix{}
	status := planned(gone, silent).loop().Status(t.Context())
	if len(status.Peers) != 1 || status.Peers[0].Name != "h3" {
		t.Errorf("%+v", status.Peers)
	}
}

func TestTeardownTakesTheRoutesWithoutOpenVSwitch(t *testing.T) {
	w := planned(testHost(2))
	w.ovsErr = errors.New("no Open vSwitch")
	err := w.loop().Teardown(t.Context())
	if err == nil || !strings.Contains(err.Error(), "no Open vSwitch") || strings.Join(w.applied, " ") != "kernel" {
		t.Errorf("applied %v, %v", w.applied, err)
	}
}
