package bridge

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"syscall"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
)

// Changed wakes whoever keeps the Host: something that Observe reads may have
// changed. Signals that nobody took are merged into one.
func (k *Kernel) Changed() <-chan struct{} { return k.changed }

func (k *Kernel) signal() {
	select {
	case k.changed <- struct{}{}:
	default:
	}
}

// Run turns the kernel's notices of links, IPv4 addresses, routes and
// neighbours (rtnetlink(7) multicast groups) into signals on Changed until ctx
// is done; it then returns nil. It signals once when it listens. Sysctls, which
// give no notice, are looked at once a second.
func (k *Kernel) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var looks sync.WaitGroup
	looks.Go(func() { k.watchSysctls(ctx) })
	defer looks.Wait()
	defer cancel()

	w := watch{names: []string{k.cfg.Bridge, k.cfg.Port}}
	listening := func() {
		for _, name := range w.names {
			if l, err := netlink.LinkByName(name); err == nil {
				w.indexes = append(w.indexes, l.Attrs().Index)
			}
		}
		w.listNeighbours()
		k.signal()
	}
	return listen(ctx, listening, func(messages []syscall.NetlinkMessage) {
		if messages == nil {
			k.cfg.Log.Debug("netlink notices lost")
			w.listNeighbours()
		}
		// Each is looked at, for what it says of a name or a neighbour is kept.
		concerned := messages == nil
		for _, m := range messages {
			concerned = w.concerns(m) || concerned
		}
		if concerned {
			k.signal()
		}
	}, syscall.RTNLGRP_LINK, syscall.RTNLGRP_IPV4_IFADDR, syscall.RTNLGRP_IPV4_ROUTE, syscall.RTNLGRP_NEIGH)
}

// listen hands on the notices of rtnetlink's groups until ctx ends; nil stands
// for notices that were lost because there were too many. begin is called when
// nothing is missed any more.
func listen(ctx context.Context, begin func(), handle func([]syscall.NetlinkMessage), groups ...uint) error {
	socket, err := nl.Subscribe(syscall.NETLINK_ROUTE, groups...)
	if err != nil {
		return fmt.Errorf("subscribe to netlink: %w", err)
	}
	closed := make(chan struct{})
	stop := context.AfterFunc(ctx, func() { defer close(closed); socket.Close() })
	defer func() {
		if stop() {
			socket.Close()
		} else {
			<-closed
		}
	}()
	begin()
	for {
		messages, _, err := socket.Receive()
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, syscall.ENOBUFS): // the socket goes on
			handle(nil)
		case err != nil:
			return fmt.Errorf("receive from netlink: %w", err)
		case len(messages) > 0:
			handle(messages)
		}
	}
}

// watch knows which notices concern us: on a busy host most are of containers
// that come and go, and of neighbours that are asked for.
type watch struct {
	names      []string
	indexes    []int              // of the devices that have, or had, one of the names
	neighbours map[neighbour]bool // that somebody has set, and the kernel did not find by itself
}

// neighbour names an entry of a neighbour table or of a bridge's forwarding
// database.
type neighbour struct {
	index int
	key   string // its address, or a MAC in a forwarding database
}

func (w *watch) concerns(m syscall.NetlinkMessage) bool {
	switch m.Header.Type {
	case syscall.RTM_NEWLINK, syscall.RTM_DELLINK:
		msg := nl.DeserializeIfInfomsg(m.Data)
		if slices.Contains(w.indexes, int(msg.Index)) {
			return true
		}
		name := string(attribute(m.Data[msg.Len():], syscall.IFLA_IFNAME))
		if !slices.Contains(w.names, name[:max(0, len(name)-1)]) { // it ends with a zero byte
			return false
		}
		w.indexes = append(w.indexes, int(msg.Index))
		return true
	case syscall.RTM_NEWADDR, syscall.RTM_DELADDR:
		return slices.Contains(w.indexes, int(nl.DeserializeIfAddrmsg(m.Data).Index))
	case syscall.RTM_NEWROUTE, syscall.RTM_DELROUTE:
		msg := nl.DeserializeRtMsg(m.Data)
		if msg.Table != syscall.RT_TABLE_MAIN {
			return false
		}
		oif := attribute(m.Data[msg.Len():], syscall.RTA_OIF)
		return msg.Protocol == RouteProtocol ||
			len(oif) == 4 && slices.Contains(w.indexes, int(nl.NativeEndian().Uint32(oif)))
	case syscall.RTM_NEWNEIGH, syscall.RTM_DELNEIGH:
		entry, err := netlink.NeighDeserialize(m.Data)
		return err == nil && w.knows(entry, m.Header.Type == syscall.RTM_NEWNEIGH)
	}
	return false
}

// knows tells whether a neighbour of ours was set by hand, or is no more what
// was set by hand. The others, which come, age and go with the traffic of the
// containers, are nobody's drift.
func (w *watch) knows(entry *netlink.Neigh, isThere bool) bool {
	if !slices.Contains(w.indexes, entry.LinkIndex) {
		return false
	}
	key, byHand := neighbour{entry.LinkIndex, entry.IP.String()}, netlink.NUD_PERMANENT
	if entry.Family == syscall.AF_BRIDGE { // bridge(8): "static" is NUD_NOARP there
		key.key, byHand = entry.HardwareAddr.String(), netlink.NUD_PERMANENT|netlink.NUD_NOARP
	}
	was, is := w.neighbours[key], isThere && entry.State&byHand != 0
	if is {
		w.neighbours[key] = true
	} else {
		delete(w.neighbours, key)
	}
	return was || is
}

// listNeighbours learns those that are there already; what can't be read is
// noticed by the resync.
func (w *watch) listNeighbours() {
	w.neighbours = make(map[neighbour]bool)
	for _, index := range w.indexes {
		for _, family := range []int{syscall.AF_INET, syscall.AF_BRIDGE} {
			entries, _ := dump(func() ([]netlink.Neigh, error) { return netlink.NeighList(index, family) })
			for _, entry := range entries {
				w.knows(&entry, true)
			}
		}
	}
}

func attribute(b []byte, kind uint16) []byte {
	attrs, err := nl.ParseRouteAttr(b)
	if err != nil {
		return nil
	}
	for _, a := range attrs {
		if a.Attr.Type == kind {
			return a.Value
		}
	}
	return nil
}

// Notices calls wake whenever this host's links, addresses or routes may
// have changed, and once when it listens, until ctx ends; it then returns nil.
// Our own routes are left out: no underlay is in the pool.
func Notices(ctx context.Context, wake func()) error {
	return listen(ctx, wake, func(messages []syscall.NetlinkMessage) {
		if messages == nil || slices.ContainsFunc(messages, foreign) {
			wake()
		}
	}, syscall.RTNLGRP_LINK, syscall.RTNLGRP_IPV4_IFADDR, syscall.RTNLGRP_IPV4_ROUTE, syscall.RTNLGRP_IPV6_IFADDR, syscall.RTNLGRP_IPV6_ROUTE)
}

func foreign(m syscall.NetlinkMessage) bool {
	isRoute := m.Header.Type == syscall.RTM_NEWROUTE || m.Header.Type == syscall.RTM_DELROUTE
	return !isRoute || nl.DeserializeRtMsg(m.Data).Protocol != RouteProtocol
}
