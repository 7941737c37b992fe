package mesh

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gremesh/gremesh/bridge/docker"
	"github.com/gremesh/gremesh/mesh/journal"
)

func TestDockerIsRestartedOnceOnANewBip(t *testing.T) {
	w := staleDocker()
	w.restart = func(context.Context) error {
		if w.readied == 0 {
			t.Error("systemd is not told before Docker is restarted: both would wait for each other")
		}
		if w.reported.Up != 1 {
			t.Error("the tunnels are not told of before Docker is restarted, which may take long")
		}
		return nil
	}
	w.takes = func() {
		w.docker.NeedsRestart = false
		w.kernel = kernelAsPlanned()
	}
	l := w.loop()
	pass(t, l)
	pass(t, l)
	if w.restarts != 1 || strings.Join(w.applied, " ") != "kernel docker nat nat" {
		t.Errorf("%d restarts, applied %v", w.restarts, w.applied)
	}
}

// staleDocker is a world in which Docker must be restarted for its bip.
func staleDocker() *world {
	w := planned(testHost(2))
	w.docker = docker.State{Bip: "172.17.99.1/24", MTU: 1462, Running: true}
	w.kernel.Addrs = []netip.Prefix{netip.MustParsePrefix("172.17.99.1/24")}
	return w
}

func TestARestartThatHangsIsReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := staleDocker()
		w.restart = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
		l := w.loop()
		pass(t, l)
		pass(t, l)
		if !w.says(l, context.DeadlineExceeded.Error()) {
			t.Errorf("status does not tell of it: %+v", l.Status(t.Context()).Problems)
		}
	})
}

// slowReport makes passes slow, after the engine has begun a restart.
type slowReport struct{ Membership }

func (m slowReport) Report(c TunnelCount) {
	time.Sleep(20 * time.Millisecond)
	m.Membership.Report(c)
}

func TestTheTimeOfARestartBeginsAfterThePass(t *testing.T) {
	w := staleDocker()
	l := w.loop()
	l.cfg.Membership = slowReport{l.cfg.Membership}
	var passed time.Time // not before then does the pass end
	l.cfg.Ready = func() { w.readied, passed = w.readied+1, time.Now() }
	w.restart = func(ctx context.Context) error {
		if end, ok := ctx.Deadline(); !ok || end.Before(passed.Add(docker.RestartTimeout)) {
			t.Errorf("the command has %s less, %t", passed.Add(docker.RestartTimeout).Sub(end), ok)
		}
		return nil
	}
	if pass(t, l); w.restarts != 1 {
		t.Errorf("%d restarts", w.restarts)
	}
}

func TestWhileDockerIsRestartedPassesAndAuditsGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := staleDocker()
		over := make(chan struct{})
		w.restart = func(context.Context) error { <-over; return nil }
		w.takes = func() { w.docker.NeedsRestart = false }
		l := w.loop()
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- l.Run(ctx) }()
		time.Sleep(10 * time.Second)
		if !w.says(l, "Docker is being restarted (since ") {
			t.Errorf("status does not tell of it: %+v", l.Status(t.Context()).Problems)
		}
		synctest.Wait()
		began := time.Now()
		l.Audit(t.Context())
		l.pass(t.Context())
		if took := time.Since(began); took > 0 || w.restarts != 1 {
			t.Errorf("an audit and a pass took %s, %d restarts", took, w.restarts)
		}
		if w.kernel.Addrs[0].String() != "172.17.99.1/24" {
			t.Error("docker0's address was touched under a dockerd that changes it")
		}
		if w.kernel.OVSPort.Master != "" {
			t.Error("docker0 is in the mesh with an address that is not this host's")
		}
		close(over)
		time.Sleep(time.Second)
		synctest.Wait()
		if w.says(l, "ocker") || w.kernel.Addrs[0].String() != "172.17.42.1/24" {
			t.Errorf("its end did not wake the loop: %v, %+v", w.kernel.Addrs, l.Status(t.Context()).Problems)
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// A host that moves gets another Loop at once, be Docker's restart as slow as it
// likes.
func TestARestartOutlivesTheLoopAndTheNextOneWaitsForItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := staleDocker()
		whole := false
		w.restart = func(ctx context.Context) error {
			select {
			case <-time.After(time.Minute):
				whole = true
			case <-ctx.Done():
			}
			return ctx.Err()
		}
		w.takes = func() { w.docker.NeedsRestart, w.kernel = false, kernelAsPlanned() }
		began := time.Now()
		ctx, stop := context.WithTimeout(t.Context(), 5*time.Second)
		defer stop()
		first := w.loop()
		if err := first.Run(ctx); err != nil || time.Since(began) != 5*time.Second {
			t.Errorf("it ended after %s, %v", time.Since(began), err)
		}

		w.view.Self.Underlay = netip.MustParseAddr("192.168.248.99")
		second := w.loopAfter(first)
		second.patience = time.Now().Add(measuredBy)
		ctx, stop = context.WithTimeout(t.Context(), 56*time.Second)
		defer stop()
		done := make(chan error, 1)
		go func() { done <- second.Run(ctx) }()
		time.Sleep(time.Second)
		synctest.Wait()
		if !w.says(second, "Docker is being restarted (since ") || w.restarts != 1 {
			t.Errorf("%d restarts, %+v", w.restarts, second.Status(t.Context()).Problems)
		}
		if err := <-done; err != nil || !whole {
			t.Errorf("the command was killed, %v", err)
		}
		if !slices.ContainsFunc(w.history, func(c journal.Change) bool {
			return c.Object == "interface gre43 options:local_ip" && c.Cause == "this host moved to 192.168.248.99"
		}) {
			t.Errorf("%+v", w.history)
		}
		if w.says(second, "ocker") || w.restarts != 1 {
			t.Errorf("its end did not wake the loop: %d restarts, %+v", w.restarts, second.Status(t.Context()).Problems)
		}
	})
}

func TestARestartThatIsUndoneAgainAndAgainIsNotRepeatedWithoutEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := staleDocker()
		w.takes = func() { w.docker.NeedsRestart = false }
		l := w.loop()
		spoil := func() { w.docker.Bip = ""; pass(t, l); pass(t, l) }
		for range 6 * 60 {
			spoil()
			time.Sleep(10 * time.Second)
		}
		if w.restarts > 10 {
			t.Errorf("%d restarts in an hour", w.restarts)
		}
		time.Sleep(2 * time.Hour)
		w.restarts = 0
		for range 6 {
			spoil()
			time.Sleep(10 * time.Second)
		}
		if w.restarts != 2 {
			t.Errorf("%d restarts in a minute after two calm hours", w.restarts)
		}
	})
}

func TestADockerThatIsNotRestartedKeepsItsAddressAndIsNotPesteredWithRestarts(t *testing.T) {
	for name, c := range map[string]struct {
		restart  func(context.Context) error
		restarts int // in 10 minutes
	}{
		"never":         {func(context.Context) error { return docker.ErrNever }, 1},
		"fails":         {func(context.Context) error { return errors.New("unit not found") }, 5},
		"does not help": {succeeds, 1}, // not even once more
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := staleDocker()
				w.restart = c.restart
				l := w.loop()
				for range 61 {
					pass(t, l)
					time.Sleep(10 * time.Second)
				}
				if strings.Join(w.applied, " ") != "kernel docker nat" || w.kernel.OVSPort.Master != "" || w.restarts != c.restarts {
					t.Errorf("applied %v, %d restarts, want %d", w.applied, w.restarts, c.restarts)
				}
				if !w.says(l, "dockerd still runs with the settings from before") {
					t.Errorf("status does not say that Docker must be restarted: %+v", l.Status(t.Context()).Problems)
				}
				if name == "fails" && !w.says(l, "unit not found") {
					t.Errorf("status does not say what the command failed with: %+v", l.Status(t.Context()).Problems)
				}
				if name == "does not help" && !w.says(l, "Docker is not restarted again for this") {
					t.Errorf("status does not say that it was in vain: %+v", l.Status(t.Context()).Problems)
				}
				if w.docker.NeedsRestart = false; !pass(t, l) || w.says(l, "ocker") {
					t.Errorf("a person restarted Docker, and status says %+v", l.Status(t.Context()).Problems)
				}
			})
		})
	}
}

func TestTheFirstRestartWaitsForThePathsAndNotForLong(t *testing.T) {
	for name, tt := range map[string]struct {
		measure, newcomer time.Duration // after the start; zero: never
		want              time.Duration
	}{
		"a path that is never measured":  {0, 0, measuredBy},
		"paths that are measured":        {500 * time.Millisecond, 0, quietFor},
		"measured late":                  {2 * time.Second, 0, 2 * time.Second},
		"a host that is started as late": {500 * time.Millisecond, 700 * time.Millisecond, 700*time.Millisecond + quietFor},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began, peers := time.Now(), []Host{testHost(2)}
				l := &Loop{patience: began.Add(measuredBy)}
				for {
					since := time.Since(began)
					if tt.measure > 0 && since >= tt.measure {
						peers[0].Path = 1500
					}
					if tt.newcomer > 0 && since >= tt.newcomer && len(peers) == 1 {
						peers = append(peers, testHost(3))
						peers[1].Path = 1400
					}
					if l.unmeasured(time.Now(), peers).IsZero() {
						break
					}
					time.Sleep(100 * time.Millisecond)
				}
				if took := time.Since(began); took != tt.want {
					t.Errorf("after %s, want %s", took, tt.want)
				}
			})
		})
	}
}

func TestDockerIsRestartedOnceThePathsAreMeasured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := staleDocker()
		w.takes = func() { w.docker.NeedsRestart = false }
		l := w.loop()
		l.patience = time.Now().Add(measuredBy)
		ctx, stop := context.WithTimeout(t.Context(), 10*time.Second)
		defer stop()
		done := make(chan error, 1)
		go func() { done <- l.Run(ctx) }()
		time.Sleep(measuredBy - time.Second)
		synctest.Wait()
		if w.restarts != 0 || !w.says(l, "about to be restarted") {
			t.Errorf("%d restarts, %+v", w.restarts, l.Status(t.Context()).Problems)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if w.restarts != 1 {
			t.Errorf("%d restarts", w.restarts)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
