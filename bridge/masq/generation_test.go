package masq

import (
	"os/exec"
	"testing"
)

func TestWhatHasNotChangedIsNotListedAgain(t *testing.T) {
	needsRoot(t)
	// A filter table that iptables-legacy has made stays as long as its namespace,
	// and what is in it is not counted.
	if legacy, err := legacyFilter(); err != nil {
		t.Fatal(err)
	} else if legacy {
		cmd := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.run=^"+t.Name()+"$") // see TestMain
		cmd.Env = append(cmd.Environ(), role+"=")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	l := filters(t)
	l.reach(wanted())
	t.Run("without nft", func(t *testing.T) {
		t.Setenv("PATH", t.TempDir())
		if have, err := l.Observe(t.Context()); err != nil || render(Diff(wanted(), have)) != "" {
			t.Errorf("%+v, %v", have, err)
		}
	})
	l.sh("nft add table ip other")
	t.Run("after a change", func(t *testing.T) {
		t.Setenv("PATH", t.TempDir())
		if have, err := l.Observe(t.Context()); err == nil {
			t.Errorf("without nft it still sees %+v", have)
		}
	})
	l.sh("nft delete table ip gremesh")
	if render(l.diff(wanted())) == "" {
		t.Error("what was deleted is not missed")
	}
}
