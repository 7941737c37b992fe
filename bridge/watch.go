package bridge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"syscall"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Changed returns a channel that receives a value whenever a result of Observe may
// have changed. Signals that were not received yet are merged into one.
func (k *Kernel) Changed() <-chan struct{} { return k.changed }

// Watch calls notify whenever a result of Observe may have changed, until ctx
// ends. Run must be running.
func (k *Kernel) Watch(ctx context.Context, notify func()) error {
	return k.changes.Watch(ctx, notify)
}

func (k *Kernel) signal() {
	k.changes.Notify()
	select {
	case k.changed <- struct{}{}:
	default:
	}
}

// Run signals Changed after changes by other programs, until ctx ends. It then
// returns nil. It receives the kernel's notifications of links, IPv4 addresses, routes
// and neighbours (rtnetlink(7) multicast groups). It signals once as soon as it
// receives them. It polls sysctls once a second, because the kernel does not notify
// of their changes.
func (k *Kernel) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var looks sync.WaitGroup
	looks.Go(func() { k.watchSysctls(ctx) })
	defer looks.Wait()
	defer cancel()

	socket, err := subscribe(unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_NEIGH)
	if err != nil {
		return err
	}
	defer closeAfter(ctx, socket)()
	raw, err := socket.SyscallConn()
	if err != nil {
		return fmt.Errorf("listen to netlink: %w", err)
	}
	k.tables.listen(raw)
	defer k.tables.listen(nil)
	k.signal()
	for {
		var taken error
		err := raw.Read(func(fd uintptr) bool {
			some, err := k.tables.takeAll(int(fd))
			taken = err
			return some || err != nil
		})
		switch err := errors.Join(err, taken); {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return fmt.Errorf("receive from netlink: %w", err)
		}
	}
}

// noticeRoom is the size, in bytes, of the socket's buffer for notifications. A
// thousand routes that change at once do not overflow it.
const noticeRoom = 4 << 20

// subscribe returns a socket that receives the notifications of rtnetlink's groups.
// Its Close ends a Read.
func subscribe(groups ...uint) (*os.File, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open a netlink socket: %w", err)
	}
	at := unix.SockaddrNetlink{Family: unix.AF_NETLINK}
	for _, g := range groups {
		at.Groups |= 1 << (g - 1)
	}
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, noticeRoom) // without it the buffer overflows sooner, and ENOBUFS reports that
	if err := unix.Bind(fd, &at); err != nil {
		return nil, errors.Join(fmt.Errorf("subscribe to netlink: %w", err), unix.Close(fd))
	}
	return os.NewFile(uintptr(fd), "netlink"), nil
}

// closeAfter closes a socket when ctx ends. The returned function closes it at once
// if ctx has not ended. When it returns, the socket is closed.
func closeAfter(ctx context.Context, socket io.Closer) (closeNow func()) {
	closed := make(chan struct{})
	stop := context.AfterFunc(ctx, func() { defer close(closed); _ = socket.Close() })
	return func() {
		if stop() {
			_ = socket.Close()
		} else {
			<-closed
		}
	}
}

// listen calls handle with the notifications of rtnetlink's groups until ctx ends. It
// then returns nil. handle receives nil if notifications were lost because there were
// too many. begin is called once the socket receives all notifications.
func listen(ctx context.Context, begin func(), handle func([]syscall.NetlinkMessage), groups ...uint) error {
	socket, err := subscribe(groups...)
	if err != nil {
		return err
	}
	defer closeAfter(ctx, socket)()
	begin()
	buffer := make([]byte, nl.RECEIVE_BUFFER_SIZE)
	for {
		n, err := socket.Read(buffer)
		var messages []syscall.NetlinkMessage
		if err == nil {
			messages, err = syscall.ParseNetlinkMessage(slices.Clone(buffer[:n]))
		}
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, syscall.ENOBUFS): // the socket remains usable
			handle(nil)
		case err != nil:
			return fmt.Errorf("receive from netlink: %w", err)
		case len(messages) > 0:
			handle(messages)
		}
	}
}

// attribute returns the value of the attribute of a kind in a sequence of netlink
// attributes. It returns nil if there is none.
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

// WatchNetwork calls wake whenever this host's links, addresses or routes may have
// changed, until ctx ends. It then returns nil. It also calls wake once when it starts
// to listen. It ignores gremesh's own routes, because no underlay is in the pool.
func WatchNetwork(ctx context.Context, wake func()) error {
	return listen(ctx, wake, func(messages []syscall.NetlinkMessage) {
		if messages == nil || slices.ContainsFunc(messages, foreign) {
			wake()
		}
	}, syscall.RTNLGRP_LINK, syscall.RTNLGRP_IPV4_IFADDR, syscall.RTNLGRP_IPV4_ROUTE, syscall.RTNLGRP_IPV6_IFADDR, syscall.RTNLGRP_IPV6_ROUTE)
}

// foreign reports whether a notification concerns anything but gremesh's own routes.
func foreign(m syscall.NetlinkMessage) bool {
	isRoute := m.Header.Type == syscall.RTM_NEWROUTE || m.Header.Type == syscall.RTM_DELROUTE
	return !isRoute || nl.DeserializeRtMsg(m.Data).Protocol != RouteProtocol
}
