package bridge

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// wholeEvery is the interval at which the tables are read in full, independent of
// notifications.
const wholeEvery = 30 * time.Second

// tables caches the kernel's tables that grow with the number of peers. While Run
// runs, notifications update the cache, so that the cost depends only on the number
// of changed rows.
//
// The tables are read in full when they are stale: at the start, after lost
// notifications, and after a change of a device. The kernel deletes routes of a
// changed device without a notification.
type tables struct {
	names  [2]string    // of Docker's bridge and of its port
	pool   netip.Prefix // see Config
	signal func()       // called after a change by another program

	mu         sync.Mutex
	socket     syscall.RawConn // receives notifications; nil: Run does not run
	buffer     []byte          // for one read of socket
	stale      bool            // the next look reads all tables in full
	read       time.Time       // time of the last read in full
	bridge     int             // index; 0: there is no bridge
	port       int             // index; 0: there is no port, or it is not in the bridge
	links      map[int]string  // names of devices by index
	routes     kept[Route]
	intruders  []Route
	neighbours kept[Neighbour]
	fdb        kept[net.HardwareAddr]
	ours       map[news]bool // notifications that the current Apply causes
}

func newTables(cfg Config, signal func()) *tables {
	return &tables{
		names: [2]string{cfg.Bridge, cfg.Port}, pool: cfg.Pool, signal: signal, links: make(map[int]string),
		routes:     kept[Route]{order: compareRoutes},
		neighbours: kept[Neighbour]{order: compareNeighbours, same: sameMAC},
		fdb:        kept[net.HardwareAddr]{order: slices.Compare[net.HardwareAddr]},
	}
}

// refresh makes the next look read all tables in full.
func (t *tables) refresh() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stale = true
}

// listen makes the notifications on a socket update the tables. nil ends this.
func (t *tables) listen(socket syscall.RawConn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.socket, t.stale, t.buffer = socket, true, make([]byte, nl.RECEIVE_BUFFER_SIZE)
}

// look adds the tables to have. They include every earlier change of the kernel,
// because the kernel queues its notifications before it answers a request.
func (t *tables) look(have *State, bridge, port netlink.Link, links map[int]string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.socket != nil {
		_ = t.socket.Control(func(fd uintptr) { _, _ = t.drain(int(fd)) }) // Run reports the error
	}
	was, wasPort := t.bridge, t.port
	t.bridge, t.port, t.links = 0, 0, links
	if bridge != nil {
		t.bridge = bridge.Attrs().Index
	}
	if bridge != nil && port != nil && port.Attrs().MasterIndex == t.bridge {
		t.port = port.Attrs().Index
	}
	if t.socket == nil || t.stale || was != t.bridge || wasPort != t.port || time.Since(t.read) >= wholeEvery {
		t.stale = true
		if err := t.dump(); err != nil {
			return err
		}
		t.stale, t.read = false, time.Now()
	}
	have.Intruders = t.intruders
	have.Routes, have.Neighbours, have.FDB = t.routes.all(), t.neighbours.all(), t.fdb.all()
	return nil
}

// dump reads all tables in full.
func (t *tables) dump() error {
	var routes, intruders []Route
	err := eachRoute(func(message netlink.Route) {
		if r, is := unicast(message, t.links); is && t.concerns(r) {
			routes = append(routes, r)
		}
		if r, is := t.intruder(message); is {
			intruders = append(intruders, r)
		}
	})
	if err != nil {
		return err
	}
	t.routes.fill(routes)
	slices.SortFunc(intruders, compareRoutes)
	t.intruders = intruders
	var neighbours []Neighbour
	if t.bridge != 0 {
		list, err := dump(func() ([]netlink.Neigh, error) { return netlink.NeighList(t.bridge, netlink.FAMILY_V4) })
		if err != nil {
			return fmt.Errorf("list neighbours of %s: %w", t.names[0], err)
		}
		for _, n := range list {
			if one, is := permanent(&n); is {
				neighbours = append(neighbours, one)
			}
		}
	}
	t.neighbours.fill(neighbours)
	var fdb []net.HardwareAddr
	if t.port != 0 {
		list, err := dump(func() ([]netlink.Neigh, error) { return netlink.NeighList(t.port, unix.AF_BRIDGE) })
		if err != nil {
			return fmt.Errorf("list the forwarding database of %s: %w", t.names[0], err)
		}
		for _, n := range list {
			if n.MasterIndex == t.bridge && static(&n) {
				fdb = append(fdb, n.HardwareAddr)
			}
		}
	}
	t.fdb.fill(fdb)
	return nil
}

// concerns reports whether a route is on Docker's bridge, or is gremesh's on another
// device.
func (t *tables) concerns(r Route) bool { return r.Link == t.names[0] || r.Protocol == RouteProtocol }

// takeAll is drain for callers that do not hold mu.
func (t *tables) takeAll(fd int) (some bool, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.drain(fd)
}

// drain processes all notifications that have arrived, and reports whether there were
// any. The caller must hold mu.
func (t *tables) drain(fd int) (some bool, err error) {
	for {
		n, _, err := unix.Recvfrom(fd, t.buffer, unix.MSG_DONTWAIT)
		var messages []syscall.NetlinkMessage
		if err == nil {
			messages, err = syscall.ParseNetlinkMessage(slices.Clone(t.buffer[:n]))
		}
		switch {
		case errors.Is(err, unix.EAGAIN):
			return some, nil
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.ENOBUFS): // notifications were lost; the socket remains usable
			t.stale = true
			t.signal()
		case err != nil:
			return some, err
		}
		some = true
		for _, m := range messages {
			if t.take(m) {
				t.signal()
			}
		}
	}
}

// applying suppresses the signals for notifications that the steps cause. A call
// without steps ends this. By then all of these notifications have arrived, because
// the kernel queues them before it answers.
func (t *tables) applying(steps []step) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.socket != nil {
		_ = t.socket.Control(func(fd uintptr) { _, _ = t.drain(int(fd)) })
	}
	t.ours = make(map[news]bool, len(steps))
	for _, s := range steps {
		if n, is := follows(s); is {
			t.ours[n] = true
		}
	}
}
