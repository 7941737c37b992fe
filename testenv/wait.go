package testenv

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/gremesh/gremesh/testenv/kernel"
)

// Until calls f, at growing intervals of 10 to 50 ms, until it returns nil or
// ctx ends. It then returns f's last error. What takes longer is called for half
// of the time at the most, in a guest kernel with its one processor for a sixth,
// and leaves the rest to what is waited for.
func Until(ctx context.Context, f func() error) error {
	var last error
	rest := time.Duration(1)
	if kernel.Inside() {
		rest = 5
	}
	for pause := 10 * time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		began := time.Now()
		err := f()
		if err == nil {
			return nil
		}
		if last == nil || ctx.Err() == nil { // else it may say no more than that the time is over
			last = err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w, and the last try said: %w", context.Cause(ctx), last)
		case <-time.After(max(pause, rest*time.Since(began))):
		}
	}
}

// Patience is how long to wait for what takes d at most on a machine of two
// processors or more.
func Patience(d time.Duration) time.Duration { return time.Duration(kernel.Slowness()) * d }

// Eventually fails the test when f has not returned nil within d,
// or the Patience for it.
func Eventually(t testing.TB, d time.Duration, f func() error) {
	t.Helper()
	d = Patience(d)
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	if err := Until(ctx, f); err != nil {
		t.Fatalf("not within %s: %v", d, err)
	}
}
