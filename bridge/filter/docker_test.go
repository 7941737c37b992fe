package filter

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestBesideRealDocker: a dockerd that starts after us, and again, with either
// kind of iptables, neither undoes what we have nor is disturbed by it.
func TestBesideRealDocker(t *testing.T) {
	needsRoot(t)
	if _, err := exec.LookPath("dockerd"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("needs dockerd")
		}
		t.Skip("needs dockerd")
	}
	for _, ipt := range backends {
		t.Run(ipt, func(t *testing.T) {
			l := build(t)
			l.sh("sysctl -qw net.ipv4.ip_forward=0") // so that dockerd sets FORWARD to DROP
			l.reach(meshRules())
			d := newDockerd(l, ipt)
			for range 2 {
				d.start()
				if rules := l.sh(ipt + "-save"); !strings.Contains(rules, "-A POSTROUTING -s 172.17.42.0/24 ! -o docker0 -j MASQUERADE") || !strings.Contains(rules, ":FORWARD DROP") {
					t.Fatalf("these are not Docker's rules:\n%s", rules)
				}
				l.reach(meshRules())
				if o := l.obstacles(meshRules()); o != "" {
					t.Errorf("obstacles:\n%s", o)
				}
				for _, route := range []func(){l.tunnel, l.direct} {
					route()
					l.sees(peerContainer, container)
					l.sees(peerUnderlay, container)
					l.sees(outside, hostOutside)
				}
				d.stop()
			}
			l.reach(Rules{})
		})
	}
}

// dockerd is one in this process's namespace, with files of its own.
type dockerd struct {
	*lab
	dir  string
	path string // PATH, in which iptables is of the wanted kind
	cmd  *exec.Cmd
}

func newDockerd(l *lab, ipt string) *dockerd {
	l.Helper()
	// The socket's path must be short, unix(7).
	dir, err := os.MkdirTemp("", "gmq")
	if err != nil {
		l.Fatal(err)
	}
	d := &dockerd{lab: l, dir: dir, path: filepath.Join(dir, "bin") + ":" + os.Getenv("PATH")}
	l.Cleanup(func() {
		d.stop()
		l.sh("umount " + dir + "/* 2>/dev/null || true; rm -rf " + dir)
	})
	l.sh("mkdir " + dir + "/bin; for s in '' -save -restore; do ln -s $(command -v " + ipt + "$s) " + dir + "/bin/iptables$s; done; echo '{}' >" + dir + "/daemon.json")
	return d
}

// start returns when dockerd answers.
func (d *dockerd) start() {
	d.Helper()
	log, err := os.OpenFile(d.dir+"/log", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		d.Fatal(err)
	}
	defer log.Close() //nolint:errcheck // dockerd writes it
	d.cmd = exec.Command("dockerd", "--config-file", d.dir+"/daemon.json", "--data-root", d.dir+"/data", "--exec-root", d.dir+"/exec",
		"-H", "unix://"+d.dir+"/sock", "--pidfile", d.dir+"/pid", "--storage-driver", "vfs", "--bip", "172.17.42.1/24")
	d.cmd.Env = append(os.Environ(), "PATH="+d.path)
	d.cmd.Stdout, d.cmd.Stderr = log, log
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := d.cmd.Start(); err != nil {
		d.Fatal(err)
	}
	deadline := time.Now().Add(30 * time.Second)
	for exec.Command("docker", "-H", "unix://"+d.dir+"/sock", "version").Run() != nil {
		if time.Now().After(deadline) {
			d.Fatalf("dockerd does not answer:\n%s", d.sh("tail -5 "+d.dir+"/log"))
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func (d *dockerd) stop() {
	if d.cmd == nil {
		return
	}
	_ = d.cmd.Process.Signal(syscall.SIGTERM)
	_ = d.cmd.Wait()
	d.cmd = nil
}
