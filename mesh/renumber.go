package mesh

import (
	"context"
	"net/netip"
	"time"
)

const renumberPatience = 5 * time.Second

// renumber gives a host that has lost its subnet another subnet. It does so
// only if no container is attached to docker0, because such a container would
// lose its address. Otherwise it does nothing, and waits for the operator or
// for the last container to stop.
func (l *Loop) renumber(ctx context.Context, view View) {
	if !view.Lost {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, renumberPatience)
	defer cancel()
	have, err := l.cfg.Kernel.Observe(ctx)
	if err != nil || len(have.Attached) > 0 {
		return // the kernel component reports the error
	}
	subnet, err := l.cfg.Membership.Renumber(ctx, netip.Prefix{})
	if err != nil {
		l.cfg.Log.Debug("renumber", "err", err) // the view shows what this host waits for
		return
	}
	l.cfg.Log.Info("renumbered, because another host has the subnet and no container is attached here", "subnet", subnet)
}
