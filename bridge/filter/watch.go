package filter

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Changed receives a value when the state that Observe reads may have changed.
// Values that nobody received are merged into one. iptables-legacy causes none.
func (h *Host) Changed() <-chan struct{} { return h.changed }

// Watch calls notify when the state that Observe reads may have changed, until
// ctx ends. Run must be running.
func (h *Host) Watch(ctx context.Context, notify func()) error { return h.changes.Watch(ctx, notify) }

func (h *Host) signal() {
	h.changes.Notify()
	select {
	case h.changed <- struct{}{}:
	default:
	}
}

// Run turns nftables' notices (netlink(7), NFNLGRP_NFTABLES) into signals on
// Changed until ctx is done. It then returns nil. It signals once when it
// listens. It starts no process. If the kernel gives no notices, Run logs that
// and only waits; the caller's periodic resync must then find the changes.
func (h *Host) Run(ctx context.Context) error {
	socket, err := subscribe()
	if err != nil {
		h.log.Warn("changes of the packet filter are not noticed at once", "err", err)
		<-ctx.Done()
		return nil
	}
	closed := make(chan struct{})
	stop := context.AfterFunc(ctx, func() { defer close(closed); _ = socket.Close() })
	defer func() {
		if stop() {
			_ = socket.Close()
		} else {
			<-closed
		}
	}()
	h.signal()
	buffer := make([]byte, 1<<16)
	for {
		n, err := socket.Read(buffer)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, unix.ENOBUFS):
			// The kernel dropped notices, but the socket still works.
			h.log.Debug("nftables notices lost")
			h.signal()
		case err != nil:
			return fmt.Errorf("receive nftables' notices: %w", err)
		case concerns(buffer[:n]) && !h.isOwnEvent(buffer[:n]):
			h.signal()
		}
	}
}

// isOwnEvent reports whether all notices come from the last Apply. If an Apply is in
// progress, isOwnEvent waits for its end. All notices of a transaction have its
// generation.
func (h *Host) isOwnEvent(notices []byte) bool {
	h.looking.Lock()
	defer h.looking.Unlock()
	for len(notices) >= unix.SizeofNlMsghdr+nfgenmsg {
		length := int(binary.NativeEndian.Uint32(notices))
		if length < unix.SizeofNlMsghdr+nfgenmsg || length > len(notices) ||
			!h.ours.has(binary.BigEndian.Uint16(notices[unix.SizeofNlMsghdr+2:])) { // nfgenmsg, res_id
			return false
		}
		notices = notices[min((length+3)&^3, len(notices)):]
	}
	return true
}

// subscribe returns a socket that receives nftables' notices. Its Close ends a
// Read.
func subscribe() (*os.File, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_NETFILTER)
	if err != nil {
		return nil, fmt.Errorf("open a netlink socket: %w", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: 1 << (unix.NFNLGRP_NFTABLES - 1)}); err != nil {
		return nil, errors.Join(fmt.Errorf("subscribe to nftables' notices: %w", err), unix.Close(fd))
	}
	return os.NewFile(uintptr(fd), "netlink"), nil
}

// concerns reports whether a notice is relevant. It is about our tables, about
// chains or tables that were added or removed, or about rules in FORWARD or
// DOCKER-USER. Other notices are ignored, because each container that starts
// causes some.
func concerns(notices []byte) bool {
	const header = unix.SizeofNlMsghdr
	for len(notices) >= header {
		length := int(binary.NativeEndian.Uint32(notices))
		if length < header || length > len(notices) {
			return true // unknown format: observe again
		}
		kind := binary.NativeEndian.Uint16(notices[4:])
		if kind>>8 == unix.NFNL_SUBSYS_NFTABLES && concernsUs(kind&0xff, notices[header:length]) {
			return true
		}
		notices = notices[min((length+3)&^3, len(notices)):]
	}
	return false
}

func concernsUs(kind uint16, body []byte) bool {
	switch kind {
	case unix.NFT_MSG_NEWTABLE, unix.NFT_MSG_DELTABLE, unix.NFT_MSG_NEWCHAIN, unix.NFT_MSG_DELCHAIN:
		return true
	case unix.NFT_MSG_NEWRULE, unix.NFT_MSG_DELRULE, unix.NFT_MSG_NEWSET, unix.NFT_MSG_DELSET,
		unix.NFT_MSG_NEWSETELEM, unix.NFT_MSG_DELSETELEM:
	default:
		return false
	}
	// The first attribute of each message is the table. The second attribute of
	// a rule is the chain.
	table, rest := attribute(body[min(nfgenmsg, len(body)):])
	chain, _ := attribute(rest)
	return table == tableName || chain == "FORWARD" || chain == userChain
}

// attribute returns the text of the first netlink attribute, and the other
// attributes. It returns nothing if b is malformed.
func attribute(b []byte) (text string, rest []byte) {
	const header = unix.SizeofNlAttr
	if len(b) < header {
		return "", nil
	}
	length := int(binary.NativeEndian.Uint16(b))
	if length < header || length > len(b) {
		return "", nil
	}
	value, _, _ := bytes.Cut(b[header:length], []byte{0})
	return string(value), b[min((length+3)&^3, len(b)):]
}
