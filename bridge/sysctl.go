package bridge

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// lookEvery is the interval at which the sysctls are polled, because the kernel sends
// no notification of their changes. One poll takes 0.3 ms on a slow machine, which is
// 0.03 % of a processor.
const lookEvery = time.Second

// sysctls holds the values that a Kernel has read last, by path under /proc/sys. nil:
// they were not read yet.
type sysctls struct {
	mu   sync.Mutex
	seen map[string]string
}

// swap stores new values. It reports whether they differ from the previous values. It
// returns false if there were none.
func (s *sysctls) swap(now map[string]string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.seen
	s.seen = now
	return old != nil && !maps.Equal(old, now)
}

// readSysctls reads the values of the sysctls that gremesh sets. It omits sysctls of
// a device that does not exist. It signals Changed if a value has changed. The caller
// may be an audit, which corrects nothing. Without the signal, no pass would correct
// the value.
func (k *Kernel) readSysctls() (map[string]string, error) {
	now, err := k.lookAtSysctls()
	if err == nil && k.sysctls.swap(maps.Clone(now)) {
		k.signal()
	}
	return now, err
}

// lookAtSysctls is readSysctls without the signal.
func (k *Kernel) lookAtSysctls() (map[string]string, error) {
	now := make(map[string]string)
	for _, path := range sysctlPaths(k.cfg.Bridge) {
		b, err := readSmall(filepath.Join("/proc/sys", path))
		switch {
		case err == nil:
			now[path] = strings.TrimSpace(string(b))
		case !errors.Is(err, fs.ErrNotExist):
			return nil, fmt.Errorf("read sysctl: %w", err)
		}
	}
	return now, nil
}

// readSmall reads a file of at most 64 bytes with one system call. os.ReadFile would
// register each sysctl with the runtime's poller, like a socket. That wakes another
// thread for each sysctl.
func readSmall(path string) ([]byte, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	defer func() { _ = unix.Close(fd) }()
	line := make([]byte, 64)
	n, err := unix.Read(fd, line)
	if err != nil {
		return nil, &fs.PathError{Op: "read", Path: path, Err: err}
	}
	return line[:n], nil
}

// watchSysctls polls the sysctls until ctx ends. It signals Changed if a value differs
// from the last one read.
func (k *Kernel) watchSysctls(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now, err := k.lookAtSysctls()
		if err == nil && k.sysctls.swap(now) { // Observe reports the error
			k.signal()
		}
	}
}
