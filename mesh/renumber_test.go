package mesh

import "testing"

func TestAHostThatLostItsSubnetRenumbersByItselfOnceNoContainerIsAttached(t *testing.T) {
	w := planned(testHost(2))
	w.view.Lost = true
	w.kernel.Attached = []string{"veth1234"}
	l := w.loop()
	l.pass(t.Context())
	if w.renumbered != 0 {
		t.Fatal("it renumbered under a running container")
	}
	w.kernel.Attached = nil
	l.pass(t.Context())
	l.pass(t.Context())
	if w.renumbered != 1 {
		t.Errorf("it renumbered %d times, want once", w.renumbered)
	}
}
