package ovsdb_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gremesh/gremesh/ovsdb"
)

func TestADeadSwitchdIsNamedAtOnce(t *testing.T) {
	o := startOVS(t)
	c := connect(t, o)
	reconcile(t, c, mesh(43))
	if have := observe(t, c); have.Down != "" || port(t, have, "gre43").BFD.State == ovsdb.StateUnknown {
		t.Fatalf("a running ovs-vswitchd: down %q, BFD %q", have.Down, port(t, have, "gre43").BFD.State)
	}
	before := observe(t, c)
	drain(c)
	o.kill(&o.switchd)
	select {
	case <-c.Changed():
	case <-time.After(5 * time.Second): // at once; a busy machine needs its time
		t.Error("no wake-up when ovs-vswitchd has died")
	}
	have := observe(t, c)
	if !strings.HasPrefix(have.Down, "ovs-vswitchd is not running") {
		t.Errorf("down is %q", have.Down)
	}
	if p := port(t, have, "gre43"); p.BFD != (ovsdb.BFDStatus{State: ovsdb.StateUnknown}) {
		t.Errorf("BFD is %+v, want unknown", p.BFD)
	}
	if have.Unchanged(before) {
		t.Error("the same as before it died")
	}
	if got := port(t, before, "gre43").BFD.State; got == ovsdb.StateUnknown {
		t.Error("an earlier observation was changed")
	}

	o.startSwitchd()
	eventually(t, soon, "it is seen to run again", func() bool {
		have := observe(t, c)
		return have.Down == "" && port(t, have, "gre43").BFD.State != ovsdb.StateUnknown
	})
}

func TestAStoppedSwitchdIsNamedWithinTenSeconds(t *testing.T) {
	o := startOVS(t)
	c := connect(t, o)
	reconcile(t, c, mesh(43))
	stopped := o.switchd.Process
	if err := stopped.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = stopped.Signal(syscall.SIGCONT) })
	eventually(t, 20*time.Second, "the stopped ovs-vswitchd is named", func() bool {
		return observe(t, c).Down == "ovs-vswitchd runs, but does not answer"
	})
	if err := stopped.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	eventually(t, soon, "it answers again", func() bool { return observe(t, c).Down == "" })
}

func TestAMissingServerIsOneSentence(t *testing.T) {
	db := "unix:" + filepath.Join(t.TempDir(), "none.sock")
	c := ovsdb.New(ovsdb.Config{DB: db, Bridge: "br0", StateDir: t.TempDir()})
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	run(t, c)
	_, err := c.Observe(ctx)
	var down *ovsdb.DownError
	if !errors.As(err, &down) {
		t.Fatalf("error is %v", err)
	}
	if want := "Open vSwitch is not running (no socket at " + strings.TrimPrefix(db, "unix:") + ")"; down.What != want {
		t.Errorf("what is %q, want %q", down.What, want)
	}
	if want := down.What + ": systemctl start openvswitch-switch"; err.Error() != want {
		t.Errorf("error is %q, want %q", err, want)
	}
}

// TestAnAgentThatComesLaterNamesADeadSwitchd has an ovs-vswitchd that was stopped
// before the agent started: its pid file is gone.
func TestAnAgentThatComesLaterNamesADeadSwitchd(t *testing.T) {
	o := startOVS(t)
	o.kill(&o.switchd)
	o.vsctl("rm " + o.dir + "/ovs-vswitchd.pid")
	c := connect(t, o)
	if have := observe(t, c); have.Down != "" {
		t.Errorf("in a directory without Open vSwitch's files: down %q", have.Down)
	}
	o.vsctl("echo 1 > " + o.dir + "/ovsdb-server.pid")
	eventually(t, soon, "it is named", func() bool {
		return strings.Contains(observe(t, c).Down, "no pid file "+o.dir+"/ovs-vswitchd.pid")
	})
}
