package testenv

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/gremesh/gremesh/testenv/kernel"
)

// Until calls f again and again until it returns nil or ctx ends. If ctx ends,
// the error contains f's last error. The pause grows from 10 to 50 ms, but it
// is at least as long as the last call of f took. Therefore f runs at most half
// of the time. In a guest kernel with its single processor, the pause is at
// least five times as long as the call. The rest of the time is for the
// processes that f waits for.
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
		if last == nil || ctx.Err() == nil { // otherwise err may only say that the context ended
			last = err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w, and the last try said: %w", context.Cause(ctx), last)
		case <-time.After(max(pause, rest*time.Since(began))):
		}
	}
}

// Patience returns how long to wait for something that takes at most d on a
// machine with two or more processors. It is longer in a guest kernel.
func Patience(d time.Duration) time.Duration { return time.Duration(kernel.Slowness()) * d }

// Eventually fails the test if f does not return nil within Patience(d).
func Eventually(t testing.TB, d time.Duration, f func() error) {
	t.Helper()
	d = Patience(d)
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	if err := Until(ctx, f); err != nil {
		t.Fatalf("not within %s: %v", d, err)
	}
}
