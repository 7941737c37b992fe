package masq

import "testing"

func TestWhatHasNotChangedIsNotListedAgain(t *testing.T) {
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
