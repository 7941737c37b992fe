package mesh

import (
	"github.com/gremesh/gremesh/bridge/docker"
	"github.com/gremesh/gremesh/mesh/drift"
)

// troubled returns the problem and the remedy that a component reported.
func troubled(t *docker.Trouble) Problem { return Problem{What: t.What, Do: t.Do} }

// dockerDown returns the drift of a host whose dockerd has ended. It returns
// none if no dockerd has run since the last boot.
func (l *Loop) dockerDown(have docker.State) []drift.Drift {
	last, _ := l.engine.Last().Result(dockerComponent).State.(docker.Observation)
	if r := last.Restart; have.Running || !r.Ran && r.Err == nil {
		return nil
	}
	return []drift.Drift{{Object: dockerd, Is: "not running", Should: "running (systemctl start docker)"}}
}
