package mesh

import (
	"encoding/json"
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
