package masq

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
)

// Host is the packet filter of this process's network namespace.
type Host struct {
	log     *slog.Logger
	changed chan struct{}
	// unbridged: see Actual.
	unbridged atomic.Bool

	looking sync.Mutex
	last    *glance // guarded by looking; nil: look anew
}

// New returns a Host; nothing is started.
func New(log *slog.Logger) *Host {
	return &Host{log: log, changed: make(chan struct{}, 1)}
}

// errUnbridged is Apply's error once; from then on Observe tells it.
var errUnbridged = errors.New("this kernel lacks nftables' bridge family")

// Apply carries out the changes in order. A change that fails does not keep
// the others from being tried; all errors are joined.
func (h *Host) Apply(ctx context.Context, changes []Change) error {
	var errs []error
	for _, c := range changes {
		if err := ctx.Err(); err != nil {
			return errors.Join(append(errs, err)...)
		}
		for _, s := range c.steps {
			err := s.apply(ctx)
			if errors.Is(err, errUnbridged) {
				h.unbridged.Store(true)
			}
			if err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", s, err))
				break
			}
		}
	}
	return errors.Join(errs...)
}

// run returns what a command has printed.
func run(ctx context.Context, name string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, bytes.TrimSpace(stderr.Bytes()))
	}
	return out, nil
}
