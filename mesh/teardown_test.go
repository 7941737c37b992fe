package mesh

import (
	"errors"
	"strings"
	"testing"

	"github.com/gremesh/gremesh/ovsdb"
)

func TestTeardownTakesTheRoutesWithoutOpenVSwitch(t *testing.T) {
	w := planned(testHost(2))
	w.ovsErr = errors.New("no Open vSwitch")
	err := w.loop().Teardown(t.Context())
	if err == nil || !strings.Contains(err.Error(), "no Open vSwitch") || strings.Join(w.applied, " ") != "kernel nat" {
		t.Errorf("applied %v, %v", w.applied, err)
	}
}

func TestNothingIsChangedWhenWhatWasBeforeCanNotBeKept(t *testing.T) {
	w := planned(testHost(2))
	w.ovs = ovsdb.State{}
	w.forgetful = errors.New("the disk is full")
	l := w.loop()
	if ok, _ := l.pass(t.Context()); ok || len(w.applied) > 0 || !w.says(l, "the disk is full") {
		t.Errorf("ok %t, applied %v", ok, w.applied)
	}
}
