package reconcile

import (
	"context"
	"encoding/json"
	"time"
)

// State is what a component observed. Only the component knows its type.
type State any

// Component reconciles one part of the machine. In is the type of the desired
// state, which all components share.
type Component[In any] interface {
	// Name identifies the component in keys, logs and metrics: "ovs".
	Name() string
	// After names the components that must run first.
	After() []string
	// Observe reads the machine and changes nothing. A part that cannot exist
	// on this machine is a state, not an error.
	Observe(ctx context.Context) (State, error)
	// Plan compares the desired with the observed state. It is pure: no I/O, no
	// clock. Equal arguments give equal plans, in which changes are in the
	// order to apply them.
	Plan(req Request[In], s State) Plan
	// Apply makes changes of the last Plan and returns once they are in effect.
	// Applying a change that has been made already changes nothing.
	Apply(ctx context.Context, changes []Change) error
	// Watch calls notify whenever Observe may return something new, until ctx
	// ends. An error makes the engine observe the component again and call
	// Watch again after a pause. A component that nothing tells of changes
	// returns when ctx ends; resync covers it.
	Watch(ctx context.Context, notify func()) error
}

// Request is what Plan compares the observed state with.
type Request[In any] struct {
	Desired  *In               // nil: plan the removal of everything that the component owns
	Upstream map[string]Result // results of the components in After; absent: it has not run in this pass
}

// Plan is the difference between the desired and the observed state.
type Plan struct {
	Changes  []Change
	Problems []Problem     // a component reports problems here and nowhere else
	Pending  string        // what is under way although nothing is to apply: "Docker is restarting"
	Blocked  bool          // one of the problems keeps Pending from ending by itself, and says so
	Halt     bool          // components that depend on this one are neither planned nor applied
	Recheck  time.Duration // observe again after this time; zero: when notified, or at the next resync
}

// Key identifies one object of a component. Code compares keys and never
// parses their text.
type Key struct{ Component, Kind, Name, Field string }

// String returns the object in the words of the tool that shows it: "port
// gre43 protected".
func (k Key) String() string {
	text := k.Kind
	for _, s := range []string{k.Name, k.Field} {
		if s != "" {
			text += " " + s
		}
	}
	return text
}

// Change is one step from the observed to the desired state.
type Change struct {
	Key      Key
	From, To string        // empty: absent, or must not exist
	Commands []string      // shell commands with the same effect
	Peer     string        // ID of the host that the change is about; empty: this host
	Needs    []Key         // changes that must be applied first, of this component or its upstream; if one is deferred, so is this
	MaxDelay time.Duration // upper bound of the delay under contention; zero: the engine's
	Op       any           // private to the component
	Quiet    bool          // neither logged nor in the journal: the component records it itself, or nobody has to know
}

// Problem is something that a person has to know, and mostly has to solve.
// Code and Object identify it, so Summary may contain figures.
type Problem struct {
	Code      string    // stable, for alerts and documentation: GM-OVS-DOWN
	Object    string    // what it is about, if one code can be reported several times
	Summary   string    // what is wrong, and where
	Remedy    string    // what to run; empty: nothing can be done
	DependsOn []string  // hidden while a problem with one of these codes is present
	Since     time.Time // set by the engine
}

// Result is the outcome of one component in a pass.
type Result struct {
	State    State   // as last observed without an error; nil: never yet
	Plan     Plan    // for State; its Changes are those that are still to be made
	Applied  []Entry // changes that this pass made
	Deferred int     // how many of Plan.Changes wait because of contention
	Halted   string  // the component that halted this one; State and Plan are then older
	Err      error   // Observe failed, and State and Plan are older; or Apply failed (ApplyError), and they are from before it
}

// Settled reports whether the component is in its desired state: it was
// observed without an error, and nothing is left to change or under way.
func (r Result) Settled() bool {
	return r.Err == nil && r.Halted == "" && r.State != nil && len(r.Plan.Changes) == 0 && r.Plan.Pending == ""
}

// Entry is a change that was made, and why.
type Entry struct {
	Time   time.Time
	Change Change
	Cause  string
	Took   time.Duration // of the Apply that made it, with the others of that Apply
}

// Snapshot is a component at one time.
type Snapshot[In any] struct {
	At       time.Time
	Desired  *In
	State    State
	Upstream map[string]Result
}

// Restorer is a component that can put back what was there before it changed
// anything.
type Restorer[In any] interface {
	// Original returns the part of a state that Restore needs. The engine asks
	// for it once, before any component applies anything.
	Original(s State) (json.RawMessage, error)
	// Restore plans the way back. original is nil if none was captured. The
	// plan must lead to the same end from any state in between, because a
	// restoration can be interrupted.
	Restore(req Request[In], original json.RawMessage, s State) Plan
}

// Explainer is a component that knows causes of its own changes. prev is the
// last snapshot without a difference.
type Explainer[In any] interface {
	Explain(prev, cur Snapshot[In], c Change) (cause string, ok bool)
}

// Timed is a component whose Apply may take longer than Options.Timeout.
type Timed interface{ ApplyTimeout() time.Duration }

// Refresher is a component that keeps what it has read. Refresh makes the next
// Observe read everything again.
type Refresher interface{ Refresh() }

// Investigator is a component that knows how to find out which program keeps
// changing an object.
type Investigator interface{ Investigate(k Key) (remedy string) }
