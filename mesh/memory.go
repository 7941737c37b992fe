package mesh

import (
	"context"

	"github.com/gremesh/gremesh/mesh/events"
)

// Memory is what a Loop leaves to the one that follows it when this host has
// moved: how the parts were when last they were in order, by which causes are
// found, the events that are known, and the restart of Docker that may be under way,
// which takes long. One
// Loop at a time may have it.
type Memory struct {
	scenes   scenes
	restarts *restarts
	events   *events.Tracker
}

// NewMemory is that of the first Loop.
func NewMemory() *Memory { return &Memory{restarts: newRestarts(), events: events.NewTracker()} }

// Wait returns when no restart of Docker is under way, or with ctx's error.
func (m *Memory) Wait(ctx context.Context) error { return m.restarts.wait(ctx) }
