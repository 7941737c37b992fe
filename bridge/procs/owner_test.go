package procs

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// program copies sleep under a name that every user may execute.
func program(t *testing.T, name string) string {
	t.Helper()
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Fatal(err)
	}
	from, err := os.Open(sleep)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = from.Close() }()
	dir, err := os.MkdirTemp("", "gm-process-") // others may not enter t.TempDir
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, name)
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

// run runs a program until the test ends.
func run(t *testing.T, path string, attr *syscall.SysProcAttr) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), path, "600")
	cmd.SysProcAttr = attr
	if err := cmd.Start(); err != nil { // returns once it runs under its name
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd
}

// A container with host networking has its own pid and mount namespaces; a
// rootless Docker has its own user namespace.
func TestOnlyProcessesOfTheHostsRootAreFound(t *testing.T) {
	if os.Geteuid() != 0 {
		if os.Getenv("CI") != "" {
			t.Fatal("needs root")
		}
		t.Skip("needs root")
	}
	const name = "gm-test-owner"
	path := program(t, name)
	for what, attr := range map[string]*syscall.SysProcAttr{
		"another user":                          {Credential: &syscall.Credential{Uid: 65534, Gid: 65534}},
		"a container with host networking":      {Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS},
		"another pid namespace":                 {Cloneflags: syscall.CLONE_NEWPID},
		"another mount namespace":               {Cloneflags: syscall.CLONE_NEWNS},
		"another network namespace":             {Cloneflags: syscall.CLONE_NEWNET},
		"another user namespace, as root there": {Cloneflags: syscall.CLONE_NEWUSER, UidMappings: []syscall.SysProcIDMap{{Size: 1}}, GidMappings: []syscall.SysProcIDMap{{Size: 1}}},
	} {
		run(t, path, attr)
		if found, err := Find(name); err != nil || len(found) != 0 {
			t.Errorf("%s: found %v, %v", what, found, err)
		}
		if ages, err := Ages(name); err != nil || len(ages) != 0 {
			t.Errorf("%s: ages %v, %v", what, ages, err)
		}
	}
	link := filepath.Join(t.TempDir(), name)
	if err := os.Symlink("/bin/sleep", link); err != nil {
		t.Fatal(err)
	}
	run(t, link, nil)
	if found, err := Find(name); err != nil || len(found) != 0 {
		t.Errorf("another program under the name: found %v, %v", found, err)
	}
	roots := run(t, path, nil)
	found, err := Find(name)
	if err != nil || len(found[name]) != 1 || found[name][0].PID != roots.Process.Pid {
		t.Errorf("root's process %d: found %v, %v", roots.Process.Pid, found, err)
	}
}

func TestAllFourUserIDsMustBeRoots(t *testing.T) {
	for ids, want := range map[string]bool{
		"0\t0\t0\t0": true, "1000\t0\t0\t0": false, "0\t0\t0\t1000": false, "1000\t1000\t1000\t1000": false, "": false,
	} {
		status := strings.Join([]string{"Name:\tdockerd", "Umask:\t0022", "Uid:\t" + ids, "Gid:\t0\t0\t0\t0", ""}, "\n")
		if is := isRoots([]byte(status)); is != want {
			t.Errorf("%q: %t", ids, is)
		}
	}
	if isRoots(nil) {
		t.Error("no line at all")
	}
}
