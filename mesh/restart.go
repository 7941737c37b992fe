package mesh

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/gremesh/gremesh/bridge/docker"
)

const (
	restartTimeout = 2 * time.Minute // dockerd may need long to stop its containers
	firstWait      = 30 * time.Second
	longestWait    = 10 * time.Minute
	restartMemory  = time.Hour
	// mostInVain is how often gremesh restarts Docker for one bip although the
	// command succeeds and has no effect. Each restart stops containers. The
	// count starts again if the bip had to be written again.
	mostInVain = 1
)

// restarts runs the restarts of Docker, one at a time. Each restart has a
// goroutine of its own, because it takes long and no pass or audit should wait
// for it.
type restarts struct {
	ended chan struct{} // capacity 1; receives when a restart has ended
	mu    sync.Mutex
	want  docker.Settings // settings of the last restart
	began time.Time       // start of the restart in progress; zero: none
	over  chan struct{}   // closed when the last restart has ended; nil: there was none
	last  time.Time       // end of the last restart
	pause time.Duration   // delay from then to the next restart
	err   error           // of the last restart; cleared when Docker is no longer stale
	vain  int             // restarts for want that succeeded without effect; reset when Docker is no longer stale
	ran   bool            // a dockerd has been seen since the last boot of this host
	// futile reports whether a restart would have had no effect at the last
	// check. cleared is the time when that ended; zero: never.
	futile  bool
	cleared time.Time
}

// hold returns the time until which a restart must wait after it has become
// useful. An operator who stops several containers needs time to stop all of
// them.
func (r *restarts) hold() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.cleared.Add(futileAgain)
}

// note records that a dockerd has run. After that, a missing dockerd is a
// problem. If mark is not nil, it keeps the record until the next boot of this
// host. The error is about the mark.
func (r *restarts) note(have docker.Actual, mark Mark) (err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.ran:
	case mark == nil:
		r.ran = have.Running
	case have.Running:
		r.ran, err = true, mark.Set()
	default:
		r.ran, err = mark.IsSet()
	}
	if r.futile && have.Futile == nil {
		r.cleared = time.Now()
	}
	r.futile = have.Futile != nil
	return err
}

func newRestarts() *restarts { return &restarts{ended: make(chan struct{}, 1)} }

// begin starts a restart and returns its start time. The restart continues
// after ctx ends, because a command that stops and starts Docker must not be
// killed in between.
//
// The delay after a restart grows even if the restart succeeds. Every restart
// stops containers, and another program may undo the reason for each one.
func (r *restarts) begin(ctx context.Context, want docker.Settings, restart func(context.Context) error) (began time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.want != want {
		r.vain = 0
	}
	r.began, r.want, r.over = time.Now(), want, make(chan struct{})
	if r.began.Sub(r.last) > restartMemory {
		r.pause = 0
	}
	r.pause = min(max(firstWait, 2*r.pause), longestWait)
	go func() { // the method wait lets a caller wait for this goroutine
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), restartTimeout)
		defer cancel()
		r.end(restart(ctx))
	}()
	return r.began
}

func (r *restarts) end(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.began, r.last, r.err = time.Time{}, time.Now(), err
	close(r.over)
	if err == nil {
		r.vain++
	}
	select {
	case r.ended <- struct{}{}:
	default:
	}
}

// wait returns nil when no restart is in progress, or an error when ctx ends.
func (r *restarts) wait(ctx context.Context) error {
	r.mu.Lock()
	over := r.over
	r.mu.Unlock()
	if over == nil {
		return nil
	}
	select {
	case <-over:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for Docker's restart: %w", ctx.Err())
	}
}

// underWay reports whether Docker is being restarted, and since when.
func (r *restarts) underWay() (since time.Time, yes bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.began, !r.began.IsZero()
}

// due reports whether a restart is due. It is not due in these cases:
//
//   - another restart is in progress
//   - the operator must restart Docker
//   - the last restart was for the same settings and was recent
//   - earlier restarts for the same settings had no effect
func (r *restarts) due(want docker.Settings) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.began.IsZero() && !errors.Is(r.err, docker.ErrNever) && (r.want != want || r.vain < mostInVain && time.Since(r.last) >= r.pause)
}

var errInVain = errors.New("it has been restarted, and that did not help: Docker is not restarted again for this; see which dockerd runs, and with which flags: pgrep -a dockerd")

// failure returns the reason why the last restart failed, or why there is no
// further restart. It returns nil if no restart has failed, or if none was
// tried.
func (r *restarts) failure() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case errors.Is(r.err, docker.ErrNever):
		return nil
	case r.vain >= mostInVain:
		return errInVain
	}
	return r.err
}

// renewed resets the count of restarts without effect, because daemon.json had
// to be written again.
func (r *restarts) renewed() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.vain = 0
}

// helped clears the last failure.
func (r *restarts) helped() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err, r.vain = nil, 0
}
