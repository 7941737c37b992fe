package testenv_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gremesh/gremesh/testenv"
)

// victimEnv makes this test binary the owner of a lab, to be killed.
const victimEnv = "TESTENV_VICTIM"

func TestMain(m *testing.M) {
	if os.Getenv(victimEnv) != "" {
		fmt.Fprintln(os.Stderr, victim())
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// victim makes a lab with all that a lab can have, says where, and waits.
func victim() error {
	ctx, script := context.Background(), os.Getenv(victimEnv)
	l, err := testenv.New(ctx, testenv.Config{Hosts: 2, Docker: true, Binary: script})
	if err != nil {
		return err
	}
	err = l.Each(func(h *testenv.Host) error {
		_, bridged := h.RunContainer(ctx, "bridged")
		_, err := h.Exec(ctx, "docker", "run", "-d", "--network", "none", "--name", "alone", testenv.Image)
		return errors.Join(bridged, err, h.StartAgent(ctx))
	})
	if err != nil {
		return err
	}
	fmt.Println(l.Dir)
	select {}
}

func TestNothingRemainsOfAKilledOwner(t *testing.T) {
	t.Parallel()
	testenv.Require(t, true)
	script := filepath.Join(t.TempDir(), "gremesh")
	must(t, os.WriteFile(script, []byte("#!/bin/sh\ntrap '' TERM HUP\nwhile :; do sleep 1; done\n"), 0o755))

	owner := exec.CommandContext(t.Context(), os.Args[0])
	owner.Env = append(os.Environ(), victimEnv+"="+script)
	owner.Stderr = os.Stderr
	stdout, err := owner.StdoutPipe()
	must(t, err)
	must(t, owner.Start())
	dir, err := bufio.NewReader(stdout).ReadString('\n')
	dir = strings.TrimSpace(dir)
	must(t, err)
	if remains(dir) == nil {
		t.Fatal("the test does not see a living lab")
	}
	sockets := shimSockets(t, dir)
	if len(sockets) != 4 {
		t.Fatalf("%d shims of containers, want 4", len(sockets))
	}
	must(t, owner.Process.Kill())
	_ = owner.Wait() // killed

	testenv.Eventually(t, 30*time.Second, func() error { return remains(dir) })
	for _, socket := range sockets {
		if _, err := os.Stat(socket); err == nil {
			t.Errorf("a shim's socket remains: %s", socket)
		}
	}
}

// shimSockets are the files that the lab's shims name as their sockets,
// whatever the names of these files: containerd's versions differ.
func shimSockets(t *testing.T, dir string) []string {
	t.Helper()
	socket := regexp.MustCompile(`unix://(/run/containerd/s/[0-9a-f]+)`)
	files, err := filepath.Glob(filepath.Join(dir, "*/docker/containerd/state/*/moby/*/*"))
	must(t, err)
	found := map[string]bool{}
	for _, file := range files {
		if info, err := os.Stat(file); err != nil || !info.Mode().IsRegular() {
			continue // to read a pipe would wait for its writer
		}
		text, err := os.ReadFile(file)
		must(t, err)
		if m := socket.FindSubmatch(text); m != nil {
			found[string(m[1])] = true
		}
	}
	return slices.Sorted(maps.Keys(found))
}

func TestKeptLabOutlivesItsOwnerUntilRemoved(t *testing.T) {
	t.Parallel()
	testenv.Require(t, false)
	l, err := testenv.New(t.Context(), testenv.Config{Hosts: 2})
	must(t, err)
	t.Cleanup(func() {
		if err := testenv.Remove(l.Dir); err != nil {
			t.Error(err)
		}
		if err := remains(l.Dir); err != nil {
			t.Error(err)
		}
	})
	must(t, l.Keep())
	must(t, l.Close()) // not its any more
	again, err := testenv.Open(l.Dir)
	must(t, err)
	if n := len(again.Hosts()); n != 2 {
		t.Errorf("%d hosts, want 2", n)
	}
	eachPair(t, again, reaches)
}

func TestRemoveRefusesOtherFolders(t *testing.T) {
	for _, dir := range []string{"/", "", "/tmp", "gm-abcd"} {
		if err := testenv.Remove(dir); err == nil {
			t.Errorf("Remove(%q) is no error", dir)
		}
	}
	must(t, testenv.Remove("/tmp/gm-none"))
}

// remains tells what is left of a lab; it looks in its own way, and wider than
// the removal does: for the lab's name.
func remains(dir string) error {
	name := filepath.Base(dir)
	var errs []error
	if _, err := os.Stat(dir); err == nil {
		errs = append(errs, fmt.Errorf("folder %s", dir))
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	errs = append(errs, err)
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, name) {
			errs = append(errs, fmt.Errorf("mount %s", line))
		}
	}
	spaces, err := filepath.Glob("/run/netns/" + name + "*")
	errs = append(errs, err)
	for _, s := range spaces {
		errs = append(errs, fmt.Errorf("namespace %s", s))
	}
	procs, err := filepath.Glob("/proc/[0-9]*")
	errs = append(errs, err)
	for _, p := range procs {
		cmdline, _ := os.ReadFile(p + "/cmdline")
		environ, _ := os.ReadFile(p + "/environ") // OVS_RUNDIR
		if strings.Contains(string(cmdline)+string(environ), name) {
			errs = append(errs, fmt.Errorf("process %s: %q", p, cmdline))
		}
	}
	err = filepath.WalkDir("/sys/fs/cgroup", func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && d.Name() == name {
			errs = append(errs, fmt.Errorf("control group %s", path))
		}
		return nil // groups of others come and go
	})
	return errors.Join(append(errs, err)...)
}
