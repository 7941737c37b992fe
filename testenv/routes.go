package testenv

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// WatchRoutes calls f with the destinations of all the host's IPv4 routes that
// lead to a gateway. It calls f at first and after each change, until ctx ends.
// It uses no CPU while nothing changes. f must not use the map after it has
// returned.
func (h *Host) WatchRoutes(ctx context.Context, f func(map[netip.Prefix]bool)) error {
	space, err := netns.GetFromPath(h.Netns())
	if err != nil {
		return fmt.Errorf("%s: %w", h.Name, err)
	}
	defer func() { _ = space.Close() }()
	updates := make(chan netlink.RouteUpdate, 64)
	failed := make(chan error, 1)
	err = netlink.RouteSubscribeWithOptions(updates, ctx.Done(), netlink.RouteSubscribeOptions{
		Namespace: &space, ListExisting: true,
		ErrorCallback: func(err error) {
			select {
			case failed <- err:
			default:
			}
		},
	})
	if err != nil {
		return fmt.Errorf("%s: watch routes: %w", h.Name, err)
	}
	routes := map[netip.Prefix]bool{}
	for u := range updates {
		if u.Gw.To4() == nil || u.Dst == nil {
			continue
		}
		addr, _ := netip.AddrFromSlice(u.Dst.IP.To4())
		bits, _ := u.Dst.Mask.Size()
		if to := netip.PrefixFrom(addr, bits); u.Type == deletedRoute {
			delete(routes, to)
		} else {
			routes[to] = true
		}
		f(routes)
	}
	if ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("%s: watch routes: %w", h.Name, <-failed)
}

// deletedRoute is RTM_DELROUTE, rtnetlink(7).
const deletedRoute = 25
