package docker

import (
	"context"
	"testing"
	"time"
)

func TestTheEndOfDockerdIsAChange(t *testing.T) {
	needRoot(t)
	d := daemon(t)
	cmd := start(t, d)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); d.follow(ctx) }()
	if have, err := d.Observe(t.Context()); err != nil || have.Starting || !have.Running {
		t.Fatalf("%+v, %v", have, err)
	}
	waitFor(t, func() error { // the stream is open once the token is taken
		if len(d.appeared) > 0 {
			return context.DeadlineExceeded
		}
		return nil
	})
	stop(cmd)
	select {
	case <-d.Changed():
	case <-time.After(10 * time.Second):
		t.Error("nothing was signalled")
	}
	cancel()
	<-done
}
