package filter

import (
	"context"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// elsewhere runs the test in a namespace of its own where this one has a filter
// table that iptables-legacy has made: that stays as long as its namespace, and
// what is in it is not counted.
func elsewhere(t *testing.T) bool {
	t.Helper()
	needsRoot(t)
	legacy, err := legacyFilter()
	if err != nil {
		t.Fatal(err)
	}
	if legacy {
		cmd := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.run=^"+t.Name()+"$") // see TestMain
		cmd.Env = append(cmd.Environ(), role+"=")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	return legacy
}

func TestWhatHasNotChangedIsNotListedAgain(t *testing.T) {
	if elsewhere(t) {
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
	more := wanted()
	more.NonMasquerade = append(more.NonMasquerade, netip.MustParsePrefix("203.0.113.7/32"))
	l.reach(more)
	t.Run("after a change of our own", func(t *testing.T) {
		t.Setenv("PATH", t.TempDir())
		if have, err := l.Observe(t.Context()); err != nil || render(Diff(more, have)) != "" {
			t.Errorf("%+v, %v", have, err)
		}
	})
	if has := l.sh("nft list table ip gremesh"); !strings.Contains(has, "203.0.113.7") {
		t.Errorf("the kernel has %s", has)
	}
	have, err := l.Observe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	l.sh("nft add element ip gremesh hosts { 203.0.113.9 }")
	if err := l.Apply(t.Context(), Diff(wanted(), have)); err != nil {
		t.Fatal(err)
	}
	if found := render(l.diff(wanted())); !strings.Contains(found, "203.0.113.9") {
		t.Errorf("what another program has done meanwhile is not seen: %s", found)
	}
	l.reach(wanted())
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

func TestWhatThisHostItselfPutsIntoTheSetWakesNobody(t *testing.T) {
	if elsewhere(t) {
		return
	}
	l := filters(t)
	l.reach(wanted())
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- l.Host.Run(ctx) }()
	await(t, l.Changed(), "it listens")
	if _, err := l.Observe(t.Context()); err != nil {
		t.Fatal(err)
	}
	more := wanted()
	more.NonMasquerade = append(more.NonMasquerade, netip.MustParsePrefix("203.0.113.7/32"))
	for _, want := range []Rules{more, wanted()} {
		if err := l.Apply(t.Context(), l.diff(want)); err != nil {
			t.Fatal(err)
		}
		select {
		case <-l.Changed():
			t.Error("woken by a change of our own")
		case <-time.After(100 * time.Millisecond):
		}
	}
	l.sh("nft add element ip gremesh hosts { 203.0.113.9 }")
	await(t, l.Changed(), "a change by another program is noticed")
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
