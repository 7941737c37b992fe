package mesh

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gremesh/gremesh/bridge/docker"
)

// silentDocker runs and does not answer until it ends or answers.
type silentDocker struct {
	undoneDocker
	until time.Time
	then  func(*docker.State)
}

func (s silentDocker) Observe(context.Context) (docker.State, error) {
	if s.docker.Starting && !time.Now().Before(s.until) {
		s.docker.Starting = false
		s.then(&s.docker)
	}
	if s.docker.Starting {
		s.docker.NeedsRestart = false // nothing can be said of it
	}
	return s.docker, nil
}

func TestUninstallWaitsForADockerdThatDoesNotAnswer(t *testing.T) {
	for _, tc := range []struct {
		what     string
		after    time.Duration
		then     func(*docker.State)
		restarts bool
	}{
		{"it was about to end, as an earlier run was killed between its stop and start", 3 * time.Second,
			func(d *docker.State) { d.Running = false }, true},
		{"it was starting, with the address from before gremesh", 3 * time.Second, func(*docker.State) {}, false},
		{"it hangs", time.Hour, nil, true},
	} {
		t.Run(tc.what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				u := running()
				// An earlier run has written the address for dockerd's next start.
				u.docker.Bip, u.docker.TransitionalBip, u.docker.MTU = "172.17.0.1/16", "172.17.0.1/16", 0
				u.docker.Starting = true
				un := u.uninstall()
				un.Docker = silentDocker{undoneDocker{u}, time.Now().Add(tc.after), tc.then}
				began := time.Now()
				if err := un.Run(t.Context()); err != nil {
					t.Fatal(err)
				}
				if got := slices.Contains(u.done, "restart"); got != tc.restarts {
					t.Errorf("restarted: %t, want %t; done is %q", got, tc.restarts, u.done)
				}
				if u.docker.Bip != "" {
					t.Errorf("daemon.json still has the bip %s", u.docker.Bip)
				}
				if took := time.Since(began); took > dockerdPatience+time.Second {
					t.Errorf("it took %s", took)
				}
			})
		})
	}
}
