package docker

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func observe(t *testing.T, d *Daemon) (stale, running bool) {
	t.Helper()
	have, err := d.Observe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return have.NeedsRestart, have.Running
}

func TestADockerdThatRanDuringTheWriteIsStale(t *testing.T) {
	needRoot(t)
	d := daemon(t)
	expect := func(when string, wantStale, wantRunning bool) {
		t.Helper()
		if stale, running := observe(t, d); stale != wantStale || running != wantRunning {
			t.Errorf("%s: stale %v, running %v", when, stale, running)
		}
	}
	expect("nothing runs", false, false)
	other := startAs(t, d, traits{}, &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNET})
	expect("one runs in another namespace", false, false)
	reach(t, d, want)
	expect("written while one ran in another namespace", false, false)
	stop(other)

	first := start(t, d)
	expect("started after the write", false, true)
	reach(t, d, want)
	expect("a pass that wrote nothing", false, true)
	reach(t, d, Settings{Bip: netip.MustParsePrefix("172.17.43.1/24"), MTU: 1462})
	expect("written while it ran", true, true)
	d = New(d.cfg)
	expect("seen by a new agent", true, true)

	_ = first.Process.Kill()
	deadline := time.Now().Add(5 * time.Second)
	for { // it is a zombie now, until it is waited for
		if stale, running := observe(t, d); !stale && !running {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("a dead dockerd is still stale")
		}
		time.Sleep(5 * time.Millisecond)
	}
	start(t, d)
	expect("restarted", false, true)
}

func TestAnotherMTUAloneMakesNoDockerdStale(t *testing.T) {
	needRoot(t)
	d := daemon(t)
	expect := func(when string, wantStale bool, wantBehind int) {
		t.Helper()
		have, err := d.Observe(t.Context())
		if err != nil || have.NeedsRestart != wantStale || have.RunningMTU != wantBehind {
			t.Errorf("%s: stale %t, behind %d, %v", when, have.NeedsRestart, have.RunningMTU, err)
		}
	}
	other := want
	other.MTU = 1362
	reach(t, d, want)
	first := start(t, d)
	expect("started with our values", false, 0)
	reach(t, d, other)
	expect("the MTU is another", false, want.MTU)
	d = New(d.cfg)
	expect("seen by a new agent", false, want.MTU)
	reach(t, d, want)
	expect("and what it was", false, 0)
	reach(t, d, other)
	expect("and another again", false, want.MTU)
	other.Bip = netip.MustParsePrefix("172.17.43.1/24")
	reach(t, d, other)
	expect("the bip is another too", true, 0)
	stop(first)
	start(t, d)
	expect("restarted", false, 0)

	if !Restarts(Diff(Settings{Bip: other.Bip, MTU: 1462}, State{MTU: 1462})) || Restarts(Diff(want, State{Bip: want.Bip.String()})) {
		t.Error("only another bip is a reason to restart Docker")
	}
}

func TestADockerdThatIsOlderThanTheFileMayHaveAnotherBip(t *testing.T) {
	needRoot(t)
	d := daemon(t)
	first := start(t, d)
	expect := func(when string, wantStale bool) {
		t.Helper()
		if stale, _ := observe(t, d); stale != wantStale {
			t.Errorf("%s: stale %t", when, stale)
		}
	}
	later := func() { // than the start, by the clock ticks that it is told in
		t.Helper()
		then := time.Now().Add(time.Second)
		if err := os.Chtimes(d.cfg.Path, then, then); err != nil {
			t.Fatal(err)
		}
	}
	put(t, d.cfg.Path, `{"bip": "`+want.Bip.String()+`"}`)
	later()
	reach(t, d, want)
	expect("the bip was written by somebody after its start, and the MTU by us", true)
	d = New(d.cfg)
	expect("seen by a new agent", true)
	stop(first)

	start(t, d)
	expect("restarted", false)
	other := want
	other.MTU = 1362
	reach(t, d, other)
	reach(t, d, want)
	d = New(d.cfg)
	reach(t, d, other)
	expect("what it runs with is known from our own writes", false)
}

func TestPuttingBackWhatSomebodyElseTookOutMakesNoDockerdStale(t *testing.T) {
	needRoot(t)
	d := daemon(t)
	reach(t, d, want)
	first := start(t, d)
	drop := func() { put(t, d.cfg.Path, "{}\n") }
	expect := func(when string, want bool) {
		t.Helper()
		if stale, _ := observe(t, d); stale != want {
			t.Errorf("%s: stale %v", when, stale)
		}
	}
	expect("started with our values", false)
	for range 2 {
		drop()
		reach(t, d, want)
		expect("they were taken out and put back", false)
	}

	other := Settings{Bip: netip.MustParsePrefix("172.17.43.1/24"), MTU: 1462}
	reach(t, d, other)
	expect("other values", true)
	drop()
	reach(t, d, other)
	expect("other values, taken out and put back", true)
	reach(t, d, want)
	expect("the values that it started with", false)

	drop()
	stop(first)
	start(t, d) // as the tool that wrote the file does
	reach(t, d, want)
	expect("started while they were out", true)
}

func TestAFlagThatDockerdRefusesBesideTheKeyStopsTheWrite(t *testing.T) {
	needRoot(t)
	d := daemon(t)
	for _, args := range [][]string{{"--bip", "172.17.0.1/16"}, {"--mtu=1500"}, {"-b", "br1"}, {"--bridge=br1"}, {"--default-gateway=172.17.0.254"}, {"--default-gateway", "172.17.0.254"}} {
		dockerd := start(t, d, args...)
		err := d.Apply(t.Context(), Diff(want, State{}))
		if err == nil || !strings.Contains(err.Error(), "remove the flag") {
			t.Errorf("%q: %v", args, err)
		}
		stop(dockerd)
	}
	start(t, d, "--bip6", "--debug", "-D", "--default-gateway", "172.17.42.254")
	reach(t, d, want)
}

func TestAfterARebootNothingIsStale(t *testing.T) {
	needRoot(t)
	d := daemon(t)
	start(t, d)
	reach(t, d, want)
	s, err := d.load()
	if err != nil || len(s.Old) != 1 {
		t.Fatal(s, err)
	}
	put(t, d.cfg.Path, "{}\n") // there is no bip to compare Docker's network with
	if stale, _ := observe(t, d); !stale {
		t.Error("a process that ran during the write is not stale")
	}
	s.Old[0].Boot = "another boot"
	if err := d.store(s); err != nil {
		t.Fatal(err)
	}
	if stale, _ := observe(t, d); stale {
		t.Error("a process of another boot is stale")
	}
}

func TestRestart(t *testing.T) {
	d := daemon(t)
	if err := d.Restart(t.Context()); !errors.Is(err, ErrNever) {
		t.Errorf("no command: %v", err)
	}

	mark := filepath.Join(t.TempDir(), "restarted")
	d.cfg.Restart = []string{"touch", mark}
	if err := d.Restart(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(mark); err != nil {
		t.Error(err)
	}

	d.cfg.Restart = []string{"sh", "-c", "echo starting; echo no such unit >&2; exit 5"}
	err := d.Restart(t.Context())
	if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) || !strings.HasSuffix(err.Error(), "exit status 5: starting\nno such unit") {
		t.Errorf("got %v", err)
	}

	d.cfg.Restart = []string{"/no/such/command"}
	if err := d.Restart(t.Context()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}

	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	d.cfg.Restart = []string{"sleep", "60"}
	if err := d.Restart(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestRestartDoesNotWaitForWhatItLeavesBehind(t *testing.T) {
	d := daemon(t)
	pid := filepath.Join(t.TempDir(), "pid")
	d.cfg.Restart = []string{"sh", "-c", "sleep 600 & echo $! > " + pid}
	began := time.Now()
	if err := d.Restart(t.Context()); err != nil {
		t.Error(err)
	}
	sh(t, "kill $(cat "+pid+")")
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("took %s", took)
	}
}
