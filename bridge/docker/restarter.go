package docker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// RestartTimeout bounds the command that restarts Docker. dockerd can take long
// to stop its containers.
const RestartTimeout = 2 * time.Minute

const (
	firstPause  = 30 * time.Second
	maxPause    = 10 * time.Minute
	pauseMemory = time.Hour // without a restart, the pause starts from firstPause again
	// maxFutile is how often Docker is restarted for one bip by a command that
	// succeeds and does not help: each restart stops containers.
	maxFutile = 1
	// settleTime is how long a restart waits after the reason against it has
	// gone: a person who stops several containers is not done with the first.
	settleTime = 5 * time.Second
)

// Mark records something until this host's next boot.
type Mark interface {
	IsSet() (bool, error)
	Set() error
}

// Restarter restarts Docker, one restart at a time. A restart runs in a goroutine
// of its own, because it takes long and must not be killed between stop and
// start. Call Wait before the process ends.
type Restarter struct {
	restart func(context.Context) error
	mark    Mark // that a dockerd has run since boot
	ended   chan struct{}

	mu     sync.Mutex
	bip    string        // that the last restart was for
	began  time.Time     // of the restart under way; zero: none
	over   chan struct{} // closed when the last restart has ended; nil: none yet
	last   time.Time     // when the last restart ended
	pause  time.Duration // from then to the next
	err    error         // of the last restart, until dockerd has the bip
	futile int           // restarts for bip that succeeded, until then
	ran    bool          // a dockerd has run since boot
	// wasFutile and cleared remember when the reason against a restart went.
	wasFutile bool
	cleared   time.Time
}

// NewRestarter returns a Restarter that calls restart with a context that does
// not end. restart bounds its command by RestartTimeout, and may wait before
// that. NewRestarter starts nothing.
func NewRestarter(restart func(context.Context) error, mark Mark) *Restarter {
	return &Restarter{restart: restart, mark: mark, ended: make(chan struct{}, 1)}
}

// Use replaces the command and the mark, from the next restart on.
func (r *Restarter) Use(restart func(context.Context) error, mark Mark) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.restart, r.mark = restart, mark
}

// Ended receives when a restart has ended.
func (r *Restarter) Ended() <-chan struct{} { return r.ended }

// Restart is what is known of the restarts that gremesh makes.
type Restart struct {
	Since time.Time     // when the one under way began; zero: none
	Wait  time.Duration // until a restart may begin; zero: now
	Bip   string        // that the last one was for
	Pause time.Duration // until another one for Bip may begin; zero: now
	// Cleared reports whether a restart waits only because the reason against
	// it went a moment ago.
	Cleared bool
	Never   bool  // no command is configured, so a person restarts Docker
	Err     error // why the last one failed, or did not help; nil: neither
	Ran     bool  // a dockerd has run since boot
}

var errFutile = errors.New("it has been restarted, and that did not help: Docker is not restarted again for this; see which dockerd runs, and with which flags: pgrep -a dockerd")

// note updates the record with what was observed, and returns it. The error is
// about the mark.
func (r *Restarter) note(have State) (state Restart, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.ran:
	case have.Running:
		r.ran, err = true, r.mark.Set()
	default:
		r.ran, err = r.mark.IsSet()
	}
	if r.wasFutile && have.Futile == nil {
		r.cleared = time.Now()
	}
	if r.wasFutile = have.Futile != nil; have.Running && !have.NeedsRestart && !have.Starting {
		r.err, r.futile = nil, 0
	}
	state = Restart{Since: r.began, Never: errors.Is(r.err, ErrNever), Ran: r.ran, Bip: r.bip, Pause: max(0, time.Until(r.last.Add(r.pause)))}
	switch {
	case state.Never:
	case r.futile >= maxFutile && r.bip == have.Bip && have.Running:
		state.Err, state.Never = errFutile, true
	default:
		state.Err = r.err
		earliest := r.cleared.Add(settleTime)
		state.Cleared = time.Now().Before(earliest)
		if retry := r.last.Add(r.pause); r.bip == have.Bip && retry.After(earliest) {
			earliest = retry
		}
		state.Wait = max(0, time.Until(earliest))
	}
	return state, err
}

// begin starts a restart for a bip. The pause after it grows also when it
// succeeds: every restart stops containers, and something else may undo what
// each was for.
func (r *Restarter) begin(ctx context.Context, bip string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.began.IsZero() {
		return
	}
	if r.bip != bip {
		r.futile = 0
	}
	r.began, r.bip, r.over = time.Now(), bip, make(chan struct{})
	if r.began.Sub(r.last) > pauseMemory {
		r.pause = 0
	}
	r.pause = min(max(firstPause, 2*r.pause), maxPause)
	restart := r.restart
	go func() { r.end(restart(context.WithoutCancel(ctx))) }()
}

func (r *Restarter) end(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.began, r.last, r.err = time.Time{}, time.Now(), err
	close(r.over)
	if err == nil {
		r.futile++
	}
	select {
	case r.ended <- struct{}{}:
	default:
	}
}

// renew forgets restarts that did not help, because daemon.json had to be
// written again.
func (r *Restarter) renew() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.futile = 0
}

// Wait returns when no restart is under way, or with ctx's error.
func (r *Restarter) Wait(ctx context.Context) error {
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
