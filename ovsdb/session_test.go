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
		case <-time.After(2 * time.Second):
			t.Errorf("%s: no wake-up", command)
		}
	}
}

func TestARestartedServer(t *testing.T) {
	for _, emptied := range []bool{false, true} {
		t.Run(map[bool]string{false: "with its database", true: "with an empty one"}[emptied], func(t *testing.T) {
			o := startOVS(t)
			c := connect(t, o)
			want := mesh(43, 44)
			reconcile(t, c, want)
			o.killServer()
			eventually(t, time.Second, "Observe fails", func() bool {
				_, err := c.Observe(t.Context())
				return err != nil && strings.Contains(err.Error(), o.DB)
			})
			if emptied {
				o.createDB()
			}
			o.startServer()
			var have ovsdb.Actual
			eventually(t, 10*time.Second, "Observe answers", func() (ok bool) {
				var err error
				have, err = c.Observe(t.Context())
				return err == nil
			})
			if have.Bridge.Exists == emptied {
				t.Errorf("bridge is there: %v", have.Bridge.Exists)
			}
			if n := reconcile(t, c, want); (n > 0) != emptied {
				t.Errorf("%d changes", n)
			}
			settled(t, c, want)
			if p := port(t, observe(t, c), "gre43"); p.OfPort <= 0 {
				t.Errorf("port is %+v", p)
			}
		})
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
	for _, part := range []string{"no such file or directory", "Open vSwitch", db, "systemctl start openvswitch-switch"} {
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
	reconcile(t, c, mesh(43))
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

	changes := ovsdb.Diff(big(1000), ovsdb.Actual{})
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
	if took := time.Since(start); took > 4*time.Second {
		t.Errorf("took %s", took)
	}
}

func TestApplyTellsThatSwitchdIsDead(t *testing.T) {
	o := startOVS(t)
	c := connect(t, o)
	o.kill(&o.switchd)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	err := c.Apply(ctx, ovsdb.Diff(mesh(43), observe(t, c)))
	if err == nil || !strings.Contains(err.Error(), "ovs-vswitchd has not applied") {
		t.Errorf("error is %v", err)
	}
	settled(t, c, mesh(43))
}
