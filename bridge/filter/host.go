package filter

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"sigs.k8s.io/knftables"

	"github.com/gremesh/gremesh/mesh/reconcile"
)

// Host is the packet filter of this process's network namespace.
type Host struct {
	log     *slog.Logger
	changed chan struct{}
	changes reconcile.Broadcast
	now     func() time.Time

	looking sync.Mutex
	able    map[knftables.Family]ability // guarded by looking
	last    *cachedState                 // guarded by looking; nil: read again
	// ours is guarded by looking. It has the generations of the last Apply, if
	// no other program has changed anything meanwhile.
	ours generationRange
}

// New returns a Host. It starts nothing.
func New(log *slog.Logger) *Host {
	return &Host{log: log, changed: make(chan struct{}, 1), now: time.Now, able: map[knftables.Family]ability{}}
}

// Apply makes the changes in order. If a change fails, Apply still tries the
// others. It joins all errors. If the changes concern only elements of our
// sets, the new state is known without another read.
func (h *Host) Apply(ctx context.Context, changes []Change) error {
	h.looking.Lock()
	defer h.looking.Unlock()
	before := h.last
	h.last = nil
	commits, err := h.apply(ctx, changes)
	if err == nil {
		h.last, h.ours = before.after(changes, commits)
	}
	return err
}

// apply makes the changes and returns the number of transactions. The number
// has no meaning if there is an error.
func (h *Host) apply(ctx context.Context, changes []Change) (commits int, err error) {
	if all, are := single(changes); are && commit(ctx, all...) == nil {
		return 1, nil
	}
	var errs []error
	for _, c := range changes {
		if err := ctx.Err(); err != nil {
			return 0, errors.Join(append(errs, err)...)
		}
		for _, s := range c.steps {
			commits++
			if err := s.apply(ctx, h); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", s, err))
				break
			}
		}
	}
	return commits, errors.Join(errs...)
}

// run executes a command and returns its standard output.
func run(ctx context.Context, name string, args ...string) ([]byte, error) {
	return runWith(ctx, nil, name, args...)
}

// runWith executes a command with in as its standard input.
func runWith(ctx context.Context, in io.Reader, name string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdin = in
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err := ended(name, cmd.ProcessState); err != nil {
		return nil, err
	}
	if err != nil && ctx.Err() != nil {
		return nil, fmt.Errorf("%s: %w", title(name, args), context.Cause(ctx))
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %s", title(name, args), err, bytes.TrimSpace(stderr.Bytes()))
	}
	return out, nil
}

// title returns the first line of a command. It omits the rest, because a long
// script among the arguments would fill an operator's screen.
func title(name string, args []string) string {
	first, _, more := strings.Cut(strings.Join(append([]string{name}, args...), " "), "\n")
	if more {
		first += " …"
	}
	return first
}
