package daemon

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
)

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
