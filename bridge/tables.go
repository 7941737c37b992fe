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

// wholeEvery is how often the tables are read as a whole, whatever the notices
// say.
const wholeEvery = 30 * time.Second

// tables are copies of those of the kernel that grow with the number of peers.
// While Run listens, notices keep them, so that one that has changed costs what
// has changed of it. They are read as a whole when they are stale: at the start,
// when notices were lost, and when something has happened to a device, for then
// the kernel drops routes without a word.
type tables struct {
	names  [2]string    // of Docker's bridge, and of its port
	pool   netip.Prefix // see Config
	signal func()       // something has changed that somebody else did

	mu         sync.Mutex
	socket     syscall.RawConn // of notices; nil: nobody listens
	buffer     []byte          // for one read
	stale      bool
	read       time.Time // as a whole
	bridge     int       // index; 0: there is none
	port       int       // index, where it is a port of the bridge; 0: it is not
	links      map[int]string
	routes     kept[Route]
	intruders  []Route
	neighbours kept[Neighbour]
	fdb        kept[net.HardwareAddr]
	ours       map[news]bool // what the Apply under way makes
}

func newTables(cfg Config, signal func()) *tables {
	return &tables{
		names: [2]string{cfg.Bridge, cfg.Port}, pool: cfg.Pool, signal: signal, links: make(map[int]string),
		routes:     kept[Route]{order: compareRoutes},
		neighbours: kept[Neighbour]{order: compareNeighbours, same: sameMAC},
		fdb:        kept[net.HardwareAddr]{order: slices.Compare[net.HardwareAddr]},
	}
}

// refresh has the next look read all anew.
func (t *tables) refresh() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stale = true
}

// listen has the tables kept by what comes by a socket; nil: no longer.
func (t *tables) listen(socket syscall.RawConn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.socket, t.stale, t.buffer = socket, true, make([]byte, nl.RECEIVE_BUFFER_SIZE)
}

// look adds the tables to what is known of the devices. All that the kernel did
// before is in them: it queues its notices before it answers who asked for it.
func (t *tables) look(have *Actual, bridge, port netlink.Link, links map[int]string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.socket != nil {
		_ = t.socket.Control(func(fd uintptr) { _, _ = t.drain(int(fd)) }) // an error is Run's to tell
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

// dump reads the tables as a whole.
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

// concerns tells whether a route is one of Docker's bridge, or of ours on another
// device.
func (t *tables) concerns(r Route) bool { return r.Link == t.names[0] || r.Protocol == RouteProtocol }

// takeAll is drain for who holds no lock.
func (t *tables) takeAll(fd int) (some bool, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.drain(fd)
}

// drain takes the notices that have come, and reports whether there were any.
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
		case errors.Is(err, unix.ENOBUFS): // some were lost; the socket goes on
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

// applying has what follows from the steps be no news, until it is called with
// none; by then all of it has come.
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
