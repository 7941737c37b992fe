package masq

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
)

// Host is the packet filter of this process's network namespace.
type Host struct {
	log     *slog.Logger
	changed chan struct{}
	now     func() time.Time

	looking sync.Mutex
	able    map[knftables.Family]ability // guarded by looking
	last    *glance                      // guarded by looking; nil: look anew
	ours    span                         // guarded by looking; of the last Apply, where nobody else has changed anything meanwhile
}

// New returns a Host; nothing is started.
func New(log *slog.Logger) *Host {
	return &Host{log: log, changed: make(chan struct{}, 1), now: time.Now, able: map[knftables.Family]ability{}}
}

// Apply carries out the changes in order. A change that fails does not keep
// the others from being tried; all errors are joined. Where they are of our set's
// elements alone, what there is afterwards is known without looking.
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

// apply returns how many transactions it took, if there was no error.
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

// run returns what a command has printed.
func run(ctx context.Context, name string, args ...string) ([]byte, error) {
	return runWith(ctx, nil, name, args...)
}

// runWith gives it something to read.
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

// title returns a command's first line. A script of many lines among its arguments
// would fill an operator's screen.
func title(name string, args []string) string {
	first, _, more := strings.Cut(strings.Join(append([]string{name}, args...), " "), "\n")
	if more {
		first += " …"
	}
	return first
}
