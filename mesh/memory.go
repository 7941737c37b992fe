package mesh

import (
	"context"

	"github.com/gremesh/gremesh/bridge/docker"
	"github.com/gremesh/gremesh/mesh/events"
	"github.com/gremesh/gremesh/mesh/reconcile"
)

// Memory is the state that a Loop hands over to the next Loop after this host's
// address has changed. It contains the last state of each component that was in
// order, which is needed to explain changes, and the known events. It also
// contains a restart of Docker that may be in progress, because a restart takes
// long. Only one Loop at a time may use it.
type Memory struct {
	engine    *reconcile.Engine[Desired] // of the last Loop; nil: there was none
	restarter *docker.Restarter
	events    *events.Tracker
}

// NewMemory returns the Memory for the first Loop.
func NewMemory() *Memory {
	return &Memory{restarter: docker.NewRestarter(nil, nil), events: events.NewTracker()}
}

// Wait returns nil when no restart of Docker is in progress, or an error when
// ctx ends.
func (m *Memory) Wait(ctx context.Context) error { return m.restarter.Wait(ctx) }

// snapshots returns the last state in order of the components of the last Loop.
func (m *Memory) snapshots() map[string]snapshotOf {
	if m.engine == nil {
		return nil
	}
	return m.engine.Snapshots()
}
