package mesh

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gremesh/gremesh/bridge/docker"
)

// What the docker component waits for.
const (
	futileAgain   = 5 * time.Second
	startingAgain = 500 * time.Millisecond
)

func TestDockerIsNotRestartedWhereThatWouldNotHelp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := staleDocker()
		w.docker.Futile = &docker.Trouble{What: "live-restore keeps containers", Do: "stop them"}
		w.takes = func() { w.docker.NeedsRestart = false }
		l := w.loop()
		ctx, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		done := make(chan error, 1)
		go func() { done <- l.Run(ctx) }()
		time.Sleep(20 * time.Second)
		synctest.Wait()
		if w.restarts != 0 || w.kernel.OVSPort.Master != "" || w.kernel.Addrs[0].String() != "172.17.99.1/24" {
			t.Errorf("%d restarts, docker0 has %v, %+v", w.restarts, w.kernel.Addrs, w.kernel.OVSPort)
		}
		problems := l.Status(t.Context()).Problems
		if len(problems) != 1 || problems[0].What != "live-restore keeps containers" || problems[0].Do != "stop them" {
			t.Errorf("status says %+v", problems)
		}
		if audit := l.Audit(t.Context()); len(audit.Drift) == 0 || len(audit.Problems) != 1 {
			t.Errorf("audit says %+v", audit)
		}
		w.betweenPasses(func() { w.docker.Futile = nil }) // the containers have been stopped
		time.Sleep(futileAgain)
		synctest.Wait()
		w.betweenPasses(func() {
			if w.restarts != 0 {
				t.Error("Docker is restarted while somebody may still be stopping containers")
			}
		})
		time.Sleep(futileAgain + time.Second)
		synctest.Wait()
		if w.restarts != 1 || w.says(l, "ocker") || w.says(l, "live-restore") {
			t.Errorf("%d restarts, %+v", w.restarts, l.Status(t.Context()).Problems)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestADockerThatIsNotGremeshsIsLeftUnchanged(t *testing.T) {
	trouble := &docker.Trouble{What: "Podman is not supported", Do: "install Docker"}
	for name, have := range map[string]docker.State{
		"another kind":       {Running: true, Unsupported: trouble},
		"reads another file": {Running: true, Misread: trouble, Network: netip.MustParsePrefix("172.17.0.1/16")},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := staleDocker()
			w.docker = have
			l := w.loop()
			for range 3 {
				pass(t, l)
				time.Sleep(time.Minute)
			}
			if w.restarts != 0 || strings.Contains(strings.Join(w.applied, " "), "docker") || w.kernel.Addrs[0].String() != "172.17.99.1/24" {
				t.Errorf("%s: %d restarts, applied %v, docker0 has %v", name, w.restarts, w.applied, w.kernel.Addrs)
			}
			if problems := l.Status(t.Context()).Problems; len(problems) != 1 || problems[0].Do != "install Docker" {
				t.Errorf("%s: status says %+v", name, problems)
			}
			if plan := l.Plan(t.Context()); strings.Contains(fmt.Sprint(plan.Drift), "docker") {
				t.Errorf("%s: plan says %v", name, plan.Drift)
			}
		})
	}
}

func TestAFailedRestartStaysAProblemUntilADockerdRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := staleDocker()
		w.restart = func(context.Context) error {
			w.betweenPasses(func() { w.docker.Running, w.docker.NeedsRestart = false, false })
			return errors.New("invalid character '/'")
		}
		l := w.loop()
		ctx, stop := context.WithTimeout(t.Context(), 5*time.Minute)
		defer stop()
		done := make(chan error, 1)
		go func() { done <- l.Run(ctx) }()
		time.Sleep(4 * time.Minute)
		synctest.Wait()
		if !w.says(l, "dockerd does not run: its restart for the new bip failed: invalid character '/'") {
			t.Errorf("status says %+v", l.Status(t.Context()).Problems)
		}
		if audit := l.Audit(t.Context()); len(audit.Drift) != 1 || !strings.Contains(audit.Drift[0].String(), "systemctl start docker") {
			t.Errorf("audit says %+v", audit)
		}
		w.betweenPasses(func() { w.docker.Running = true })
		time.Sleep(resyncEvery + time.Second)
		synctest.Wait()
		if w.says(l, "ocker") || w.restarts != 1 {
			t.Errorf("%d restarts, status says %+v", w.restarts, l.Status(t.Context()).Problems)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestADeadDockerdIsNamedAndOneThatHasNotRunYetIsNot(t *testing.T) {
	w := planned(testHost(2))
	w.docker.Running = false
	l := w.loop()
	pass(t, l)
	if audit := l.Audit(t.Context()); w.says(l, "ocker") || len(audit.Drift) != 0 {
		t.Errorf("before Docker's first start status says %+v, audit %+v", l.Status(t.Context()).Problems, audit)
	}
	w.docker.Running = true
	pass(t, l)
	w.docker.Running = false
	pass(t, l)
	problems := l.Status(t.Context()).Problems
	if len(problems) != 1 || !strings.Contains(problems[0].What, "dockerd does not run") || !strings.Contains(problems[0].Do, "systemctl start docker") {
		t.Errorf("status says %+v", problems)
	}
	if audit := l.Audit(t.Context()); len(audit.Drift) != 1 || audit.Drift[0].Object != "dockerd" {
		t.Errorf("audit says %+v", audit)
	}
	w.docker.Running = true
	if pass(t, l); w.says(l, "ocker") {
		t.Errorf("Docker is back, and status says %+v", l.Status(t.Context()).Problems)
	}
}

// fakeMark is a file that outlives agents and not a boot.
type fakeMark struct{ set bool }

func (m *fakeMark) IsSet() (bool, error) { return m.set, nil }
func (m *fakeMark) Set() error           { m.set = true; return nil }

func TestADockerdThatDiedBeforeTheAgentStartedIsNamed(t *testing.T) {
	w := planned(testHost(2))
	mark := new(fakeMark)
	start := func() *Loop { // a new process
		l := w.loop()
		l.cfg.DockerRan = mark
		pass(t, l)
		return l
	}
	w.docker.Running = false
	if l := start(); w.says(l, "ocker") {
		t.Errorf("at boot status says %+v", l.Status(t.Context()).Problems)
	}
	w.docker.Running = true
	start()
	w.docker.Running = false
	l := start()
	if audit := l.Audit(t.Context()); !w.says(l, "dockerd does not run") || len(audit.Drift) != 1 || audit.Drift[0].Object != "dockerd" {
		t.Errorf("after a restart of the agent status says %+v, audit %+v", l.Status(t.Context()).Problems, audit)
	}
	mark.set = false // the next boot
	if l := start(); w.says(l, "ocker") {
		t.Errorf("at the next boot status says %+v", l.Status(t.Context()).Problems)
	}
}

func TestALostRecordOfDaemonJSONIsWrittenAgainAndReported(t *testing.T) {
	w := planned(testHost(2))
	l := w.loop()
	pass(t, l)
	w.applied = nil
	w.docker.Unrecorded, w.docker.Lost = true, &docker.Trouble{What: "docker.json was lost", Do: "restore it"}
	l.engine.Notify(dockerComponent) // a change of daemon.json
	pass(t, l)
	if !w.says(l, "docker.json was lost") || !slices.Contains(w.applied, "docker") {
		t.Errorf("status says %+v, applied %v", l.Status(t.Context()).Problems, w.applied)
	}
}

func TestADockerdThatStartsIsPendingAndNoProblem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := staleDocker()
		w.docker = docker.State{Bip: "172.17.42.1/24", MTU: 1462, Running: true, Starting: true}
		l := w.loop()
		ctx, stop := context.WithTimeout(t.Context(), 10*time.Second)
		defer stop()
		done := make(chan error, 1)
		go func() { done <- l.Run(ctx) }()
		time.Sleep(3 * time.Second)
		synctest.Wait()
		status := l.Status(t.Context())
		if len(status.Problems) != 0 || len(status.Pending) != 1 || w.kernel.Addrs[0].String() != "172.17.99.1/24" {
			t.Errorf("docker0 has %v, status says %+v, %v", w.kernel.Addrs, status.Problems, status.Pending)
		}
		w.betweenPasses(func() { w.docker.Starting = false })
		time.Sleep(startingAgain + 100*time.Millisecond)
		synctest.Wait()
		if status := l.Status(t.Context()); len(status.Pending) != 0 || w.kernel.Addrs[0].String() != "172.17.42.1/24" || w.restarts != 0 {
			t.Errorf("it has started, and docker0 has %v, status says %v", w.kernel.Addrs, status.Pending)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestWithoutOpenVSwitchDockerIsLeftUnchanged(t *testing.T) {
	for name, breaks := range map[string]func(*world){
		"no ovsdb-server":   func(w *world) { w.hangs = true },
		"no ovs-vswitchd":   func(w *world) { w.ovs.Down = "ovs-vswitchd does not run" },
		"for a stale bip":   func(w *world) { w.hangs = true; w.docker.Bip, w.docker.NeedsRestart = "172.17.42.1/24", true },
		"for the first bip": func(w *world) { w.hangs = true; w.docker.Bip = "" },
	} {
		synctest.Test(t, func(t *testing.T) {
			w := staleDocker()
			breaks(w)
			l := w.loop()
			pass(t, l)
			if w.restarts != 0 || strings.Contains(strings.Join(w.applied, " "), "docker") || w.kernel.Addrs[0].String() != "172.17.99.1/24" {
				t.Errorf("%s: %d restarts, applied %v, docker0 has %v", name, w.restarts, w.applied, w.kernel.Addrs)
			}
			if !w.says(l, "daemon.json does not get the bip") {
				t.Errorf("%s: status says %+v", name, l.Status(t.Context()).Problems)
			}
			w.hangs, w.ovs = false, ovsAsPlanned(w.view)
			w.ovs.Down = ""
			for range 2 {
				pass(t, l)
			}
			if w.restarts != 1 {
				t.Errorf("%s: with Open vSwitch %d restarts", name, w.restarts)
			}
		})
	}
}

// The guard has looked at the kernel before, and taken br0 out of docker0.
func TestTheKernelIsLookedAtAfterDockerHasChangedIt(t *testing.T) {
	w := planned(testHost(2))
	ready := kernelAsPlanned()
	w.kernel.Addrs, w.readdressed = nil, &ready
	l := w.loop()
	if !pass(t, l) || !slices.Equal(w.applied, []string{"kernel"}) {
		t.Errorf("applied %v", w.applied)
	}
}
