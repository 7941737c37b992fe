package bridge

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"syscall"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
)

// Changed wakes whoever keeps the Host: something that Observe reads may have
// changed. Signals that nobody took are merged into one. Sysctls give none.
func (k *Kernel) Changed() <-chan struct{} { return k.changed }

func (k *Kernel) signal() {
	select {
	case k.changed <- struct{}{}:
	default:
	}
}

// Run turns the kernel's notices of links, IPv4 addresses and routes
// (rtnetlink(7) multicast groups) into signals on Changed until ctx is done;
// it then returns nil. It signals once when it listens.
func (k *Kernel) Run(ctx context.Context) error {
	socket, err := nl.Subscribe(syscall.NETLINK_ROUTE,
		syscall.RTNLGRP_LINK, syscall.RTNLGRP_IPV4_IFADDR, syscall.RTNLGRP_IPV4_ROUTE)
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

	w := watch{names: []string{k.cfg.Bridge, k.cfg.Port}}
	for _, name := range w.names {
		if l, err := netlink.LinkByName(name); err == nil {
			w.indexes = append(w.indexes, l.Attrs().Index)
		}
	}
	k.signal()
	for {
		messages, _, err := socket.Receive()
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, syscall.ENOBUFS):
			// Notices were lost; the socket goes on.
			k.cfg.Log.Debug("netlink notices lost")
			k.signal()
		case err != nil:
			return fmt.Errorf("receive from netlink: %w", err)
		case slices.ContainsFunc(messages, w.concerns):
			k.signal()
		}
	}
}

// watch knows which notices concern us: on a busy host most are of containers
// that come and go.
type watch struct {
	names   []string
	indexes []int // of the devices that have, or had, one of the names
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
	}
	return false
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
