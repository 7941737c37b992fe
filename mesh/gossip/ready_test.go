package gossip

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// The loop begins when a host is ready, and applies the subnet that it sees then.
func TestAHostThatWasForgottenAppliesNothingOfItsOldSubnet(t *testing.T) {
	tm := newTestMesh(t)
	h1, cfg := tm.start(tm.config(1)), tm.config(2)
	h2 := tm.start(cfg)
	eventually(t, "2 hosts", func() bool { return whole(h1, h2) })
	subnet := h2.View().Self.Subnet
	if err := h2.stop(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "h2 is forgotten", func() bool { return h1.Forget(t.Context(), "h2") == nil })
	cfg3 := tm.config(3)
	cfg3.Fixed = subnet
	h3 := tm.start(cfg3)
	eventually(t, "h3 has its subnet", func() bool { return h3.View().Self.Subnet == subnet })
	for i := range 5 {
		again := cfg
		again.Dir = filepath.Join(t.TempDir(), fmt.Sprint(i))
		if err := os.CopyFS(again.Dir, os.DirFS(cfg.Dir)); err != nil {
			t.Fatal(err)
		}
		node, err := New(again)
		if err != nil {
			t.Fatal(err)
		}
		if full := i%2 > 0; full { // what it hears can't be written
			if err := os.RemoveAll(again.Dir); err != nil {
				t.Fatal(err)
			}
		}
		h2 := tm.run(node, again.Name)
		<-h2.Ready()
		if got := h2.View().Self.Subnet; got.IsValid() {
			t.Errorf("it would apply %s, which is h3's", got)
		}
		if err := h2.stop(); err != nil {
			t.Fatal(err)
		}
	}
}
