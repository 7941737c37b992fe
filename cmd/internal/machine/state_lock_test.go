package machine

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// flock(1) stands for an agent that is killed between its lock and its socket.
func TestTheLockOfAKilledAgentIsFree(t *testing.T) {
	dir := t.TempDir()
	agent := exec.CommandContext(t.Context(), "flock", "--close", filepath.Join(dir, "lock"), "cat")
	if _, err := agent.StdinPipe(); err != nil { // what cat waits for
		t.Fatal(err)
	}
	if err := agent.Start(); err != nil {
		t.Fatal(err)
	}
	locked := func(want bool) {
		t.Helper()
		for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(5 * time.Millisecond) {
			unlock, err := LockState(dir)
			if err == nil {
				unlock()
			}
			if is := err != nil && strings.Contains(err.Error(), "another gremesh agent"); is == want {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("locked should be %t: %v", want, err)
			}
		}
	}
	locked(true)
	if err := agent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = agent.Wait() // it was killed
	locked(false)
}

func TestAStateThatCannotBeWrittenIsAnErrorThatNamesTheKey(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"/proc/gremesh", file, filepath.Join(file, "below")} { // procfs takes no files, from root either
		if _, err := LockState(dir); err == nil || !strings.HasPrefix(err.Error(), "state_dir: ") {
			t.Errorf("%s: error is %v", dir, err)
		}
	}
}

func TestAStateDirectoryThatGremeshMakesIsItsOwnersAlone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "lib", "gremesh")
	unlock, err := LockState(dir)
	if err != nil {
		t.Fatal(err)
	}
	unlock()
	for path, want := range map[string]os.FileMode{dir: 0o700, filepath.Dir(dir): 0o755} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s is %v, %v; want %o", path, info.Mode(), err, want)
		}
	}
}
