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

	"sigs.k8s.io/knftables"
)

// Host is the packet filter of this process's network namespace.
type Host struct {
	log     *slog.Logger
	changed chan struct{}
	able    sync.Map // families that this kernel has been seen to have
	doors   sync.Map // see nft

	looking sync.Mutex
	last    *glance // guarded by looking; nil: look anew
}

// New returns a Host; nothing is started.
func New(log *slog.Logger) *Host {
	return &Host{log: log, changed: make(chan struct{}, 1)}
}

// Apply carries out the changes in order. A change that fails does not keep
// the others from being tried; all errors are joined.
func (h *Host) Apply(ctx context.Context, changes []Change) error {
	var errs []error
	for _, c := range changes {
		if err := ctx.Err(); err != nil {
			return errors.Join(append(errs, err)...)
		}
		for _, s := range c.steps {
			if err := s.apply(ctx, h); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", s, err))
				break
			}
		}
	}
	return errors.Join(errs...)
}

// nft is the way to our table of a family. It is kept, for it takes a call of
// nft to find out what that can do, and more without the option: no comment of
// ours is on a table or a chain.
func (h *Host) nft(family knftables.Family) (knftables.Interface, error) {
	if door, is := h.doors.Load(family); is {
		return door.(knftables.Interface), nil
	}
	door, err := knftables.New(family, tableName, knftables.NoObjectCommentEmulation)
	if err == nil {
		h.doors.Store(family, door)
	}
	return door, err
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
