package docker

import (
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// openProgram makes a copy of the stand-in that every user may execute.
func openProgram(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "gm-dockerd-") // others may not enter t.TempDir
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	from, err := os.Open(dockerdProgram(t))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = from.Close() }()
	path := filepath.Join(dir, "dockerd")
	to, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(to, from); err != nil {
		t.Fatal(err)
	}
	if err := to.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// A process that anybody has named dockerd neither has Docker restarted nor
// keeps daemon.json from being written, and its program is not executed.
func TestADockerdOfAnotherUserOrContainerIsNotBelieved(t *testing.T) {
	needRoot(t)
	for name, attr := range map[string]*syscall.SysProcAttr{
		"another user":                     {Credential: &syscall.Credential{Uid: 65534, Gid: 65534}},
		"a container with host networking": {Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS},
		"another pid namespace":            {Cloneflags: syscall.CLONE_NEWPID},
	} {
		t.Run(name, func(t *testing.T) {
			d := daemon(t)
			d.cfg.Direct = true // has the version asked for
			path := openProgram(t)
			socket := filepath.Join(filepath.Dir(path), "s")
			if err := os.Chmod(filepath.Dir(path), 0o777); err != nil { // so that it can listen there
				t.Fatal(err)
			}
			startProgram(t, path, "unix://"+socket, traits{Version: versionAnswer{Version: "29.0.0"}}, attr, "--bip=10.0.0.1/8")
			have, err := d.Observe(t.Context())
			if err != nil || have.Running || have.NeedsRestart || have.Starting {
				t.Errorf("it counts as dockerd: %+v, %v", have, err)
			}
			reach(t, d, want)
			have, err = d.Observe(t.Context())
			if err != nil || have.NeedsRestart || have.Bip != want.Bip.String() {
				t.Errorf("after the write: %+v, %v", have, err)
			}
			if info, err := os.Stat(path); err != nil || d.versions[identify(info)] != (release{}) {
				t.Errorf("its program was executed: %v, %v", d.versions, err)
			}
		})
	}
}

// Another user's daemon is not believed even at the right place.
func TestASocketOfAnotherUserIsNotBelieved(t *testing.T) {
	needRoot(t)
	path := openProgram(t)
	if err := os.Chmod(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(filepath.Dir(path), "s")
	cmd := launch(t, path, "unix://"+socket, traits{}, &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}})
	waitFor(t, func() error { // the socket exists before anybody listens at it
		var version versionAnswer
		err := newEngine(socket).get(t.Context(), "/version", &version)
		if err == nil {
			t.Fatalf("process %d is believed: %+v", cmd.Process.Pid, version)
		}
		if !strings.Contains(err.Error(), "user 65534 listens at") {
			return fmt.Errorf("process %d: %w", cmd.Process.Pid, err)
		}
		return nil
	})
}

func TestOnlyRootsProgramsAreExecuted(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	path := filepath.Join(dir, "dockerd")
	for name, tt := range map[string]struct {
		dir, file os.FileMode
		owner     int
		ok        bool
	}{
		"root's":                             {0o755, 0o755, 0, true},
		"a file that others may write":       {0o755, 0o757, 0, false},
		"a directory that others may write":  {0o777, 0o755, 0, false},
		"the same with the sticky bit":       {0o777 | os.ModeSticky, 0o755, 0, true},
		"another user's":                     {0o755, 0o755, 65534, false},
		"a file that root's group may write": {0o755, 0o775, 0, false},
	} {
		put(t, path, "#!/bin/sh\necho 'Docker version 29.0.0, build 0'\n")
		for _, err := range []error{os.Chmod(path, tt.file), os.Chown(path, tt.owner, 0), os.Chmod(dir, tt.dir)} {
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := trusted(path); (err == nil) != tt.ok {
			t.Errorf("%s: %v", name, err)
		}
		is, err := New(Config{}).version(t.Context(), path)
		if (err == nil) != tt.ok || (is == release{29, 0}) != tt.ok {
			t.Errorf("%s: version %s, %v", name, is, err)
		}
	}
}

func TestUnsupportedKindsOfDockerAreNamed(t *testing.T) {
	for want, tt := range map[string]struct {
		version versionAnswer
		info    infoAnswer
	}{
		"":                           {versionAnswer{Components: []struct{ Name string }{{"Engine"}}}, infoAnswer{OperatingSystem: "Debian GNU/Linux 12", DockerRootDir: "/var/lib/docker", SecurityOptions: []string{"name=apparmor"}}},
		"Podman":                     {versionAnswer{Components: []struct{ Name string }{{"Podman Engine"}}}, infoAnswer{}},
		"rootless Docker":            {versionAnswer{}, infoAnswer{SecurityOptions: []string{"name=seccomp,profile=default", "name=rootless"}}},
		"Docker Desktop":             {versionAnswer{}, infoAnswer{OperatingSystem: "Docker Desktop"}},
		"the snap package of Docker": {versionAnswer{}, infoAnswer{DockerRootDir: "/var/snap/docker/common/var-lib-docker"}},
	} {
		if is := unsupported(tt.version, tt.info); is != want {
			t.Errorf("%q, want %q", is, want)
		}
	}
}

// No such daemon runs that may be asked: what is installed tells.
func TestUnsupportedKindsThatAreInstalledAreNamed(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	for _, name := range []string{"snap/docker/current", "desktop", "run/user/1000", "podman"} {
		if err := os.MkdirAll(path(name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	listen(t, path("run/user/1000/docker.sock"), 1000)
	listen(t, path("podman/podman.sock"), 0)
	if err := os.Symlink(path("podman/podman.sock"), path("docker.sock")); err != nil {
		t.Fatal(err)
	}
	none := places{socket: path("none.sock"), snap: []string{path("none")}, desktop: path("none"), rootless: path("none/*"), dockerd: func() bool { return false }}
	for want, change := range map[string]func(*places){
		"":                           func(*places) {},
		"Podman":                     func(p *places) { p.socket = path("docker.sock"); p.dockerd = func() bool { return true } },
		"the snap package of Docker": func(p *places) { p.snap = []string{path("none"), path("snap/docker/current")} },
		"Docker Desktop":             func(p *places) { p.desktop = path("desktop") },
		"rootless Docker":            func(p *places) { p.rootless = path("run/user/*/docker.sock") },
	} {
		p := none
		change(&p)
		found := p.find()
		if (found == nil) != (want == "") || found != nil && (!strings.HasPrefix(found.What, want+" (") || !strings.Contains(found.What, "is not supported")) {
			t.Errorf("%q: %+v", want, found)
		}
		if want == "Podman" || want == "" {
			continue
		}
		p.dockerd = func() bool { return true }
		if found := p.find(); found != nil {
			t.Errorf("%q beside an installed dockerd: %+v", want, found)
		}
	}
}

// listen leaves a socket of a user's behind.
func listen(t *testing.T, path string, user int) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(path, user, user); err != nil {
		t.Fatal(err)
	}
}

func TestAnUnsupportedDockerIsLeftUnchanged(t *testing.T) {
	needRoot(t)
	d := daemon(t)
	startAs(t, d, traits{Info: infoAnswer{SecurityOptions: []string{"name=rootless"}}}, nil)
	have, err := d.Observe(t.Context())
	if err != nil || have.Unsupported == nil || have.NeedsRestart {
		t.Errorf("%+v, %v", have, err)
	}
}

func TestTheBipOfANetworkIsItsGateway(t *testing.T) {
	type config = struct{ Subnet, Gateway string }
	for _, tt := range []struct {
		configs []config
		want    string
	}{
		{[]config{{"172.17.0.0/16", "172.17.0.1"}}, "172.17.0.1/16"},
		{[]config{{"172.17.42.0/24", "172.17.42.7"}}, "172.17.42.7/24"},
		{[]config{{"fd00::/64", "fd00::1"}, {"172.17.5.0/24", ""}}, "172.17.5.1/24"},
		{[]config{{"172.17.42.1/24", "172.17.42.1"}}, "172.17.42.1/24"},
		{[]config{{"nonsense", "172.17.0.1"}}, ""},
		{nil, ""},
	} {
		var n networkAnswer
		n.IPAM.Config = tt.configs
		is := ""
		if bip := n.bip(); bip != (netip.Prefix{}) {
			is = bip.String()
		}
		if is != tt.want {
			t.Errorf("%v: %s, want %s", tt.configs, is, tt.want)
		}
	}
}

func TestNetworksAreFoundByTheirBridge(t *testing.T) {
	id := strings.Repeat("0123456789abcdef", 4)
	for want, n := range map[string]networkAnswer{
		"br-0123456789ab": {ID: id, Driver: "bridge"},
		"shop0":           {ID: id, Driver: "bridge", Options: map[string]string{nameOption: "shop0"}},
		"":                {ID: id, Driver: "macvlan"},
	} {
		if is := n.link(); is != want {
			t.Errorf("%+v has the bridge %q, want %q", n, is, want)
		}
	}
	all := []Network{{Name: "none"}, {Name: "shop", Link: "br-0123456789ab"}}
	if NetworkOf(all, "br-0123456789ab") != "shop" || NetworkOf(all, "br-0") != "" || NetworkOf(all, "") != "" {
		t.Error("the network of a bridge is another one")
	}
}
