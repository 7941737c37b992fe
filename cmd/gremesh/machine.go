package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gremesh/gremesh/mesh/state"
)

// errRuns means that a running agent holds the lock of the state.
var errRuns = errors.New("another gremesh agent runs")

// lockState takes the lock of the state, so that only one agent at a time uses
// it. The lock ends when unlock is called or when the process ends. If another
// process has the lock, the error wraps errRuns.
func lockState(dir string) (unlock func(), err error) {
	if err := makePrivate(dir); err != nil {
		return nil, fmt.Errorf("state_dir: %w", err)
	}
	file, err := state.Lock(dir)
	if errors.Is(err, state.ErrLocked) {
		return nil, fmt.Errorf("%w with state_dir %s; stop it first", errRuns, dir)
	}
	if err != nil {
		return nil, fmt.Errorf("state_dir: %w", err)
	}
	return func() { _ = file.Close() }, nil
}

// listenMetrics listens for scrapes at the given address. It returns nil
// without an error if metrics are switched off (at is invalid).
func listenMetrics(ctx context.Context, at netip.AddrPort) (net.Listener, error) {
	if !at.IsValid() {
		return nil, nil
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", at.String())
	if errors.Is(err, unix.EADDRINUSE) {
		return nil, fmt.Errorf("metrics.listen: another program listens at %s; stop it, or set another address", at)
	}
	if err != nil {
		return nil, fmt.Errorf("metrics.listen: %w", err)
	}
	return l, nil
}

// makePrivate creates a directory that only its owner may enter, and the
// directories above it. It does not change a directory that exists.
func makePrivate(dir string) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// listenControl creates the control socket, which only root may use. The caller
// holds the lock of the state. Therefore an existing socket is a leftover of an
// agent that has ended, unless something answers on it.
func listenControl(ctx context.Context, path string) (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("control: %w", err)
	}
	dialer := net.Dialer{Timeout: time.Second}
	if conn, err := dialer.DialContext(ctx, "unix", path); err == nil {
		_ = conn.Close()
		return nil, fmt.Errorf("control: another agent answers at %s; stop it first, or set another path", path)
	}
	switch info, err := os.Lstat(path); {
	case err == nil && info.Mode().Type() != fs.ModeSocket:
		return nil, fmt.Errorf("control: %s is there, and is no socket; it is left as it is: set another path", path)
	case err == nil:
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("control: %w", err)
		}
	}
	// Only root may connect, also between the calls that follow.
	old := unix.Umask(0o177)
	l, err := new(net.ListenConfig).Listen(ctx, "unix", path)
	unix.Umask(old)
	if err != nil {
		return nil, fmt.Errorf("control: %w", err)
	}
	return l, nil
}
