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
	restartTimeout = 2 * time.Minute // dockerd may take long to stop its containers
	firstWait      = 30 * time.Second
	longestWait    = 10 * time.Minute
	restartMemory  = time.Hour
	// mostInVain is how often Docker is restarted for one bip by a command that
	// succeeds and does not help: each restart stops containers. A bip that had to
	// be written again since does not count.
	mostInVain = 1
)

// restarts are Docker's: one at a time, each in a goroutine of its own, for it
// takes long and neither a pass nor an audit should wait for it.
type restarts struct {
	ended chan struct{} // capacity 1: one has ended
	mu    sync.Mutex
	want  docker.Settings // what the last one was for
	began time.Time       // of the one under way; zero: none is
	over  chan struct{}   // closed when the last one has ended; nil: none was
	last  time.Time       // when the last one ended
	pause time.Duration   // from then to the next
	err   error           // of the last one, until Docker is no longer stale
	vain  int             // of those for want that succeeded, until then
	ran   bool            // a dockerd has been seen since this host's boot
	// futile reports whether a restart would have been, when last looked at;
	// cleared is when it ceased to be; zero: it never was.
	futile  bool
	cleared time.Time
}

// hold reports until when a restart waits that has just ceased to be futile:
// whoever stops several containers is not done with the first of them.
func (r *restarts) hold() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.cleared.Add(futileAgain)
}

// note keeps in mind that a dockerd has run, until this host's next boot if mark
// is not nil: from then on its absence is a problem. The error is about the mark.
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

// begin runs a restart, which outlives ctx: a command that stops Docker and
// starts it again must not be killed in between. The wait after it grows also
// when it succeeds: every restart stops containers, and something else may undo
// what each was for. It returns when the restart began.
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
	go func() { // wait is for whoever must not end before
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

// wait returns when none is under way, or with ctx's error.
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

// underWay tells whether Docker is being restarted, and since when.
func (r *restarts) underWay() (since time.Time, yes bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.began, !r.began.IsZero()
}

// due tells whether it is time for one: not while another is under way, not
// where a person must do it, not soon after one that was for the same, and not
// again and again in vain.
func (r *restarts) due(want docker.Settings) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.began.IsZero() && !errors.Is(r.err, docker.ErrNever) && (r.want != want || r.vain < mostInVain && time.Since(r.last) >= r.pause)
}

var errInVain = errors.New("it has been restarted, and that did not help: Docker is not restarted again for this; see which dockerd runs, and with which flags: pgrep -a dockerd")

// failure is why the last one failed, or why there is none any more; nil where
// it did not fail or was not tried.
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

// renewed forgets restarts that did not help: daemon.json had to be written again.
func (r *restarts) renewed() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.vain = 0
}

// helped forgets the last failure.
func (r *restarts) helped() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err, r.vain = nil, 0
}
