package mesh

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gremesh/gremesh/bridge"
	"github.com/gremesh/gremesh/ovsdb"
)

// teardownTimeout applies to the tunnels, to the routes and to the packet
// filter, each separately.
const teardownTimeout = 8 * time.Second

// Teardown removes everything that gremesh created on this host. It keeps
// docker0's address, because containers need it. If one step fails, it
// continues with the others. Run must have ended.
func (l *Loop) Teardown(ctx context.Context) error {
	return errors.Join(l.dropTunnels(ctx), l.dropRoutes(ctx), l.dropNAT(ctx))
}

func (l *Loop) dropTunnels(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, teardownTimeout)
	defer cancel()
	have, err := l.cfg.Switch.Observe(ctx)
	if err != nil {
		return fmt.Errorf("remove the tunnels: %w", err)
	}
	changes := ovsdb.Diff(ovsdb.Spec{}, have)
	if len(changes) == 0 {
		return nil
	}
	if err := l.cfg.Switch.Apply(ctx, changes); err != nil {
		return fmt.Errorf("remove the tunnels: %w", err)
	}
	return nil
}

func (l *Loop) dropRoutes(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, teardownTimeout)
	defer cancel()
	have, err := l.cfg.Kernel.Observe(ctx)
	if err != nil {
		return fmt.Errorf("remove the routes: %w", err)
	}
	if err := l.cfg.Kernel.Apply(ctx, bridge.Diff(bridge.Spec{}, have)); err != nil {
		return fmt.Errorf("remove the routes: %w", err)
	}
	return nil
}

func (l *Loop) dropNAT(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, teardownTimeout)
	defer cancel()
	if err := dropNAT(ctx, l.cfg.NAT); err != nil {
		return fmt.Errorf("remove the packet filter's rules: %w", err)
	}
	return nil
}
