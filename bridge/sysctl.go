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

// lookEvery is how often the sysctls are looked at, which give no notice. That
// takes a third of a millisecond on a slow machine, so 0.03 % of a processor.
const lookEvery = time.Second

// sysctls are those that a Kernel reads, by their path under /proc/sys, as they
// were when last they were read.
type sysctls struct {
	mu   sync.Mutex
	seen map[string]string
}

// swap reports whether they differ from the last, if there were any.
func (s *sysctls) swap(now map[string]string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.seen
	s.seen = now
	return old != nil && !maps.Equal(old, now)
}

// readSysctls leaves out those of a device that is not there. What is news to it
// is signalled: it may be an audit that reads, and that mends nothing.
func (k *Kernel) readSysctls() (map[string]string, error) {
	now, err := k.lookAtSysctls()
	if err == nil && k.sysctls.swap(maps.Clone(now)) {
		k.signal()
	}
	return now, err
}

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

// readSmall reads a file of one line at once. os.ReadFile has the runtime wait for
// a sysctl as for a socket, which wakes another thread for each.
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

// watchSysctls signals when one has changed since they were last read, until ctx ends.
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
		if err == nil && k.sysctls.swap(now) { // an error is Observe's to tell
			k.signal()
		}
	}
}
