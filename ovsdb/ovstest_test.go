package ovsdb_test

import (
	"bytes"
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// ovs is an Open vSwitch of a test's own: an ovsdb-server and an ovs-vswitchd
// with the userspace datapath, in a network namespace that nobody else has and
// that goes with them.
type ovs struct {
	t       testing.TB
	dir     string
	DB      string // for ovsdb.Config
	server  *exec.Cmd
	switchd *exec.Cmd
}

// startOVS skips the test on a machine that cannot run Open vSwitch, and fails
// it there in CI.
func startOVS(t testing.TB) *ovs {
	t.Helper()
	lacking := ""
	if os.Geteuid() != 0 {
		lacking = "root"
	}
	for _, tool := range []string{"ovsdb-tool", "ovsdb-server", "ovs-vswitchd", "ovs-vsctl"} {
		if _, err := exec.LookPath(tool); err != nil {
			lacking = tool
		}
	}
	if lacking != "" && os.Getenv("CI") == "true" {
		t.Fatalf("CI lacks %s", lacking)
	}
	if lacking != "" {
		t.Skipf("needs %s", lacking)
	}

	// A socket's path has 107 bytes at most, too few for t.TempDir.
	dir, err := os.MkdirTemp("", "gmov-")
	if err != nil {
		t.Fatal(err)
	}
	o := &ovs{t: t, dir: dir, DB: "unix:" + filepath.Join(dir, "db.sock")}
	t.Cleanup(func() {
		o.kill(&o.switchd)
		o.kill(&o.server)
		if t.Failed() {
			log, _ := os.ReadFile(filepath.Join(dir, "ovs-vswitchd.log"))
			t.Logf("ovs-vswitchd.log:\n%s", log[max(0, len(log)-4000):])
		}
		_ = os.RemoveAll(dir)
	})
	o.createDB()
	o.startServer()
	o.startSwitchd()
	o.vsctl("ovs-vsctl --no-wait init")
	return o
}

func (o *ovs) createDB() {
	o.t.Helper()
	_ = os.Remove(filepath.Join(o.dir, "conf.db"))
	o.run(exec.Command("ovsdb-tool", "create", filepath.Join(o.dir, "conf.db"),
		"/usr/share/openvswitch/vswitch.ovsschema"))
}

// backupDB copies the database as it is, restoreDB puts the copy back.
func (o *ovs) backupDB()  { o.vsctl("cp " + o.dir + "/conf.db " + o.dir + "/older.db") }
func (o *ovs) restoreDB() { o.vsctl("cp " + o.dir + "/older.db " + o.dir + "/conf.db") }

func (o *ovs) startServer() {
	o.t.Helper()
	o.server = o.daemon(0, "ovsdb-server", filepath.Join(o.dir, "conf.db"),
		"--remote=p"+o.DB, "--log-file", "-vconsole:off")
	eventually(o.t, soon, "ovsdb-server listens", func() bool {
		conn, err := net.Dial("unix", filepath.Join(o.dir, "db.sock"))
		if err != nil {
			return false
		}
		return conn.Close() == nil
	})
}

func (o *ovs) startSwitchd() {
	o.t.Helper()
	o.switchd = o.daemon(syscall.CLONE_NEWNET, "ovs-vswitchd", o.DB, "--pidfile", "--log-file", "-vconsole:off")
	// Without its pid file the forwarding table is not known, and no plan has
	// static entries.
	pid := strconv.Itoa(o.switchd.Process.Pid)
	eventually(o.t, soon, "ovs-vswitchd has written its pid file and listens", func() bool {
		text, err := os.ReadFile(filepath.Join(o.dir, "ovs-vswitchd.pid"))
		if err != nil || strings.TrimSpace(string(text)) != pid {
			return false
		}
		conn, err := net.Dial("unix", filepath.Join(o.dir, "ovs-vswitchd."+pid+".ctl"))
		return err == nil && conn.Close() == nil
	})
}

// daemon starts a process that dies with the test's, whatever happens to it.
func (o *ovs) daemon(flags uintptr, name string, args ...string) *exec.Cmd {
	o.t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = o.env()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Cloneflags: flags}
	if err := cmd.Start(); err != nil {
		o.t.Fatal(err)
	}
	return cmd
}

func (o *ovs) kill(cmd **exec.Cmd) {
	if *cmd == nil {
		return
	}
	_ = (*cmd).Process.Kill()
	_ = (*cmd).Wait()
	*cmd = nil
}

// killServer ends ovsdb-server and takes its socket away, as its own exit would.
func (o *ovs) killServer() {
	o.kill(&o.server)
	_ = os.Remove(filepath.Join(o.dir, "db.sock"))
}

func (o *ovs) env() []string {
	return append(os.Environ(), "OVS_RUNDIR="+o.dir, "OVS_DBDIR="+o.dir, "OVS_LOGDIR="+o.dir)
}

// vsctl runs command lines in a shell and returns their output.
func (o *ovs) vsctl(lines ...string) string {
	o.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), soon)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-e", "-c", strings.Join(lines, "\n"))
	cmd.Env = o.env()
	// The shell's children as well, which hold its output.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	return o.run(cmd)
}

func (o *ovs) run(cmd *exec.Cmd) string {
	o.t.Helper()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		o.t.Fatalf("%s: %v\n%s%s", cmd, err, &stdout, &stderr)
	}
	return strings.TrimSpace(stdout.String())
}

// soon is how long to wait for something that takes less than a second on an
// idle machine. It only ends a test that has failed, so it has room for a machine
// that runs much else.
const soon = 20 * time.Second

func eventually(t testing.TB, limit time.Duration, what string, is func() bool) {
	t.Helper()
	deadline := time.Now().Add(limit)
	for !is() {
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s", limit, what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}
