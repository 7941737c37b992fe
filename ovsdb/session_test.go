package ovsdb_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gremesh/gremesh/ovsdb"
)

func TestChangesWake(t *testing.T) {
	o := startOVS(t)
	c := connect(t, o)
	reconcile(t, c, mesh(43))
	drain := func() {
		for {
			select {
			case <-c.Changed():
			case <-time.After(300 * time.Millisecond):
				return
			}
		}
	}
	for _, command := range []string{
		"ovs-vsctl set port gre43 protected=false",
		"ovs-vsctl set interface gre43 bfd:enable=false",
		"ovs-vsctl del-port gre43",
		"ovs-vsctl del-br br0",
	} {
		drain()
		o.vsctl(command)
		select {
		case <-c.Changed():
		case <-time.After(soon):
			t.Errorf("%s: no wake-up", command)
		}
	}
}

func TestARestartedServer(t *testing.T) {
	for _, c := range []struct {
		name    string
		down    time.Duration
		before  func(*ovs) // while it is down
		changes int        // to be mended afterwards
	}{
		{"with its database", 0, func(*ovs) {}, 0},
		{"with an empty one", 0, (*ovs).createDB, 3},
		{"with an older one", 0, (*ovs).restoreDB, 1},
		{"after a while", 3 * time.Second, func(*ovs) {}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := startOVS(t)
			client := connect(t, o)
			reconcile(t, client, mesh(43))
			o.backupDB()
			want := mesh(43, 44)
			reconcile(t, client, want)
			o.killServer()
			eventually(t, soon, "Observe fails", func() bool {
				_, err := client.Observe(t.Context())
				return err != nil && strings.Contains(err.Error(), o.DB)
			})
			<-time.After(c.down) // by then the attempts are at their slowest
			c.before(o)
			o.startServer()
			began := time.Now()
			eventually(t, soon, "Observe answers", func() bool {
				_, err := client.Observe(t.Context())
				return err == nil
			})
			t.Logf("connected %s after the server was back", time.Since(began).Round(time.Millisecond))
			if n := reconcile(t, client, want); n != c.changes {
				t.Errorf("%d changes, want %d: is the cache stale?", n, c.changes)
			}
			settled(t, client, want)
			for _, name := range []string{"gre43", "gre44"} {
				if p := port(t, observe(t, client), name); p.OfPort <= 0 {
					t.Errorf("port is %+v", p)
				}
			}
			o.vsctl("ovs-vsctl del-port gre43") // and the new connection is monitored
			eventually(t, soon, "the port is missed", func() bool {
				have, err := client.Observe(t.Context())
				return err == nil && len(ovsdb.Diff(want, have)) == 1
			})
		})
	}
}

// drain takes the signal that may be there.
func drain(c *ovsdb.Client) {
	select {
	case <-c.Changed():
	default:
	}
}

func TestAServerThatIsNotThere(t *testing.T) {
	db := "unix:" + filepath.Join(t.TempDir(), "none.sock")
	c := ovsdb.New(ovsdb.Config{DB: db, Bridge: "br0", StateDir: t.TempDir(), Log: slog.New(slog.DiscardHandler)})
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Observe(ended); err == nil {
		t.Error("Observe answers before Run")
	}
	first := make(chan error, 1) // an Observe that comes before the first attempt
	go func() {
		_, err := c.Observe(t.Context())
		first <- err
	}()
	run(t, c)
	err := <-first
	if err == nil {
		t.Fatal("Observe answers without a server")
	}
	for _, part := range []string{"Open vSwitch is not running", strings.TrimPrefix(db, "unix:"), "systemctl start openvswitch-switch"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q does not say %q", err, part)
		}
	}
}

func TestAServerOnTCP(t *testing.T) {
	o := startOVS(t)
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := free.Addr().(*net.TCPAddr)
	_ = free.Close()
	o.vsctl(fmt.Sprintf("ovs-appctl -t %s/ovsdb-server.%d.ctl ovsdb-server/add-remote ptcp:%d:127.0.0.1",
		o.dir, o.server.Process.Pid, addr.Port))
	o.DB = "tcp:" + addr.String()
	c := connect(t, o)
	// Over TCP a client cannot tell a dead ovs-vswitchd from a slow one, so Apply
	// waits 2 s at most. Its error does not undo the changes: they become true later.
	if err := c.Apply(t.Context(), ovsdb.Diff(mesh(43), observe(t, c))); err != nil && !strings.Contains(err.Error(), "ovs-vswitchd has not applied") {
		t.Fatal(err)
	}
	eventually(t, soon, "ovs-vswitchd has set up the port", func() bool { return port(t, observe(t, c), "gre43").OfPort > 0 })
	settled(t, c, mesh(43))
}

// A server that still accepts and reads nothing is the case in which libovsdb
// hangs for good.
func TestAServerThatHangs(t *testing.T) {
	o := startOVS(t)
	c, stop := connectUntil(t, o)
	reconcile(t, c, mesh(43))
	stopped := o.server.Process
	if err := stopped.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = stopped.Signal(syscall.SIGCONT) })

	changes := ovsdb.Diff(big(1000), ovsdb.State{})
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	start := time.Now()
	if err := c.Apply(ctx, changes); err == nil {
		t.Error("Apply succeeds")
	}
	if _, err := c.Observe(ctx); err == nil {
		t.Error("Observe answers from a stale cache")
	}
	stop()
	if took := time.Since(start); took > soon {
		t.Errorf("took %s", took)
	}
}

// On a busy machine ovs-vswitchd may get no processor for seconds.
func TestASlowSwitchdIsWaitedFor(t *testing.T) {
	o := startOVS(t)
	c := connect(t, o)
	reconcile(t, c, mesh(43))
	slow := o.switchd.Process
	if err := slow.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = slow.Signal(syscall.SIGCONT) })
	time.AfterFunc(4*time.Second, func() { _ = slow.Signal(syscall.SIGCONT) })
	want := mesh(43, 44)
	if err := c.Apply(t.Context(), ovsdb.Diff(want, observe(t, c))); err != nil {
		t.Error(err)
	}
	if port(t, observe(t, c), "gre44").OfPort <= 0 {
		t.Error("the port is not set up")
	}
}

func TestADeadSwitchdHoldsUpOnePassAndActsWhenItIsBack(t *testing.T) {
	o := startOVS(t)
	c := connect(t, o)
	want := mesh(43)
	reconcile(t, c, want)
	o.kill(&o.switchd)
	want = mesh(43, 44)
	began := time.Now()
	err := c.Apply(t.Context(), ovsdb.Diff(want, observe(t, c)))
	if err == nil || !strings.Contains(err.Error(), "ovs-vswitchd has not applied") {
		t.Errorf("error is %v", err)
	}
	if took := time.Since(began); took > 8*time.Second { // settleTimeout is 2 s, and applyTimeout 10 s
		t.Errorf("took %s, in which nothing else is mended", took)
	}
	settled(t, c, want) // so that no pass waits again

	drain(c)
	o.startSwitchd()
	began = time.Now()
	select {
	case <-c.Changed():
	case <-time.After(soon):
		t.Error("no wake-up when ovs-vswitchd is back")
	}
	eventually(t, soon, "the port is set up", func() bool { return port(t, observe(t, c), "gre44").OfPort > 0 })
	t.Logf("set up %s after ovs-vswitchd was started", time.Since(began).Round(time.Millisecond))
}

// Two hosts that take each other's address are one transaction.
func TestTwoTunnelsSwapTheirRemotes(t *testing.T) {
	o := startOVS(t)
	c := connect(t, o)
	want := mesh(43, 44)
	reconcile(t, c, want)
	want.Tunnels[0].Remote, want.Tunnels[1].Remote = want.Tunnels[1].Remote, want.Tunnels[0].Remote
	reconcile(t, c, want)
	settled(t, c, want)
	if found := ovsdb.Conflicts(want, observe(t, c)); len(found) > 0 {
		t.Errorf("conflicts are %+v", found)
	}
	table := o.vsctl("ovs-appctl -t $OVS_RUNDIR/ovs-vswitchd.*.ctl ofproto/list-tunnels")
	for _, line := range []string{"gre43 (gre: 192.168.248.42->192.168.248.44,", "gre44 (gre: 192.168.248.42->192.168.248.43,"} {
		if !strings.Contains(table, line) {
			t.Errorf("ovs-vswitchd lacks %q:\n%s", line, table)
		}
	}
}

// So it is when one host takes the address that another one has left.
func TestANewTunnelTakesTheRemoteThatAnotherGivesUp(t *testing.T) {
	o := startOVS(t)
	c := connect(t, o)
	want := mesh(43)
	reconcile(t, c, want)
	old := want.Tunnels[0].Remote
	want = mesh(43, 44)
	want.Tunnels[0].Remote, want.Tunnels[1].Remote = want.Tunnels[1].Remote, old
	reconcile(t, c, want) // the new one only when the address is free
	reconcile(t, c, want)
	settled(t, c, want)
	if found := ovsdb.Conflicts(want, observe(t, c)); len(found) > 0 {
		t.Errorf("conflicts are %+v", found)
	}
}

// A server that hangs for a while and goes on.
func TestAServerThatHangsIsGivenUpAndFoundAgain(t *testing.T) {
	o := startOVS(t)
	c := connect(t, o)
	reconcile(t, c, mesh(43))
	if err := o.server.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	server := o.server.Process
	t.Cleanup(func() { _ = server.Signal(syscall.SIGCONT) })
	began := time.Now()
	eventually(t, soon, "Observe fails at once", func() bool {
		asked := time.Now()
		_, err := c.Observe(t.Context())
		return err != nil && time.Since(asked) < 100*time.Millisecond
	})
	t.Logf("given up after %s", time.Since(began).Round(time.Millisecond))
	if err := server.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	eventually(t, soon, "Observe answers", func() bool {
		_, err := c.Observe(t.Context())
		return err == nil
	})
	settled(t, c, mesh(43))
}
