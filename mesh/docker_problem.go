package mesh

import (
	"errors"
	"fmt"

	"github.com/gremesh/gremesh/bridge/docker"
	"github.com/gremesh/gremesh/mesh/drift"
	"github.com/gremesh/gremesh/ovsdb"
)

// troubled returns the problem and the remedy that a component reported.
func troubled(t *docker.Trouble) Problem { return Problem{What: t.What, Do: t.Do} }

// startDocker is the remedy if no dockerd runs.
const startDocker = "start Docker (systemctl start docker); if it does not start, see why: journalctl -u docker -n 50"

// renews reports whether gremesh would have to write a new bip or restart
// Docker. It must do neither until the mesh can work.
func renews(want docker.Settings, have docker.Actual) bool {
	return have.Stale || want.Bip.IsValid() && have.Bip != want.Bip.String() && have.Written.Bip != want.Bip.String()
}

// noSwitch returns the problem of a host that cannot join its Docker to the
// mesh because Open vSwitch does not answer.
func noSwitch(want docker.Settings) Problem {
	return Problem{
		What: fmt.Sprintf("Open vSwitch does not answer, so daemon.json does not get the bip %s and Docker is not restarted", want.Bip),
		Do:   ovsdb.RestartCommand + "; if it is not installed: apt install openvswitch-switch",
	}
}

// dockerDown returns the drift of a host whose dockerd has ended. It returns
// none if no dockerd has run since the last boot.
func (r *restarts) dockerDown(have docker.Actual) []drift.Drift {
	r.mu.Lock()
	defer r.mu.Unlock()
	if have.Running || !r.ran && r.err == nil {
		return nil
	}
	return []drift.Drift{{Object: dockerd, Is: "not running", Should: "running (systemctl start docker)"}}
}

// dead returns the problems of a host without a dockerd. It returns none if no
// dockerd has run since the last boot, because the agent starts first.
func (r *restarts) dead() []Problem {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.err != nil && !errors.Is(r.err, docker.ErrNever):
		return []Problem{{What: "dockerd does not run: its restart for the new bip failed: " + r.err.Error(), Do: startDocker}}
	case r.ran:
		return []Problem{{What: "dockerd does not run: no container can be started or stopped, and what Docker wrote earlier may be out of date", Do: startDocker}}
	}
	return nil
}

// stale returns the problem of a dockerd with another bip than daemon.json.
func (r *restarts) stale(want docker.Settings, have docker.Actual) Problem {
	p := Problem{
		What: fmt.Sprintf("dockerd still runs with the settings from before daemon.json was written (bip %s, mtu %d)", want.Bip, want.MTU),
		Do:   "restart Docker",
	}
	if have.Network.IsValid() {
		p.What += fmt.Sprintf("; its network has %s, and docker0 stays so", have.Network)
	}
	if err := r.failure(); err != nil {
		p.What += ": " + err.Error()
	}
	return p
}
