package mesh

import (
	"context"
	"net/netip"
	"time"
)

const renumberPatience = 5 * time.Second

// renumber gives a host that has lost its subnet another one, as long as no
// container is attached to docker0 that would lose its address. Otherwise it
// waits for the operator, and for the last container to end.
func (l *Loop) renumber(ctx context.Context, view View) {
	if !view.Lost {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, renumberPatience)
	defer cancel()
	have, err := l.cfg.Kernel.Observe(ctx)
	if err != nil || len(have.Attached) > 0 {
		return // if it can't be seen, keepHost reports it
	}
	subnet, err := l.cfg.Membership.Renumber(ctx, netip.Prefix{})
	if err != nil {
		l.cfg.Log.Debug("renumber", "err", err) // the view says what this host waits for
		return
	}
	l.cfg.Log.Info("renumbered, because another host has the subnet and no container is attached here", "subnet", subnet)
}
