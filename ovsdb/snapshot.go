package ovsdb

import (
	"cmp"
	"hash/maphash"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ovn-org/libovsdb/cache"
	"github.com/ovn-org/libovsdb/model"
)

const (
	// fullReadInterval is the time after which an Observe reads the whole cache, even
	// if no event asks for it.
	fullReadInterval = 30 * time.Second
	// fewRows is the largest number of changed rows that are read one by one.
	// With more, reading the whole cache is faster.
	fewRows = 64
)

// snapshot holds the result of a session's last Observe and the rows that have
// changed since. It never modifies a result that it has returned.
type snapshot struct {
	mu     sync.Mutex // guards the fields below; event does not take it
	have   State
	read   time.Time         // when the whole cache was read; zero: it must be read
	ports  map[string]string // names of the ports by the UUIDs of their rows
	ifaces map[string]string // UUIDs of the Port rows by the UUIDs of their Interface rows
	sums   map[string]uint64 // sum of the Port rows' UUIDs of each bridge, by bridge name

	events  sync.Mutex
	changed map[string]bool // UUIDs of changed rows of Port and Interface
	bridges bool            // the list of ports of a bridge has changed
	other   bool            // anything else has changed
}

var (
	// revisions numbers the observed states, to detect that two are the same.
	revisions atomic.Uint64
	seed      = maphash.MakeSeed()
)

// event records that a row was changed, added or deleted. libovsdb's single
// event goroutine calls it.
func (s *snapshot) event(is, was model.Model) {
	s.events.Lock()
	defer s.events.Unlock()
	row := is
	if row == nil {
		row = was
	}
	switch r := row.(type) {
	case *portRow:
		s.changed[r.UUID] = true
	case *interfaceRow:
		s.changed[r.UUID] = true
	case *bridgeRow:
		s.bridges = true
		old, known := was.(*bridgeRow)
		s.other = s.other || is == nil || !known || !sameBridge(r, old)
	case *mirrorRow, *rootRow:
		s.other = true
	}
}

func sameBridge(a, b *bridgeRow) bool {
	return a.Name == b.Name && a.DatapathType == b.DatapathType && deref(a.FailMode) == deref(b.FailMode) &&
		maps.Equal(a.ExternalIDs, b.ExternalIDs) && a.STP == b.STP && a.RSTP == b.RSTP && a.Snooping == b.Snooping &&
		slices.Equal(a.Controllers, b.Controllers) && slices.Equal(a.Mirrors, b.Mirrors) && slices.Equal(a.FloodVLANs, b.FloodVLANs)
}

// observe returns the state of the named bridge from the cache. It reads only
// the rows that have changed since the last call, if that is possible. whole is
// false if an update arrived while it read.
func (s *snapshot) observe(tables *cache.TableCache, name string) (have State, whole bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events.Lock()
	changed, bridges, other := s.changed, s.bridges, s.other
	s.changed, s.bridges, s.other = make(map[string]bool), false, false
	s.events.Unlock()
	if time.Since(s.read) < fullReadInterval && !other {
		if !bridges && len(changed) == 0 {
			return s.have, true
		}
		if len(changed) <= fewRows && s.applyDelta(tables, changed) {
			return s.have, true
		}
	}
	rows := rowsOf(tables)
	if have, whole = rows.actual(name); !whole {
		s.read = time.Time{}
		return have, false
	}
	have.revision = revisions.Add(1)
	s.have, s.read = have, time.Now()
	s.ports, s.ifaces, s.sums = make(map[string]string), make(map[string]string), make(map[string]uint64)
	for uuid, m := range rows.ports {
		row := m.(*portRow)
		s.ports[uuid] = row.Name
		for _, iface := range row.Interfaces {
			s.ifaces[iface] = uuid
		}
	}
	for _, m := range rows.bridges {
		row := m.(*bridgeRow)
		s.sums[row.Name] = sum(row.Ports...)
	}
	return have, true
}

// sum returns a hash of a set of rows. It does not depend on their order.
func sum(uuids ...string) (all uint64) {
	for _, uuid := range uuids {
		all += maphash.String(seed, uuid)
	}
	return all
}

// applyDelta reads only the changed rows. It returns false if they do not explain
// the whole content of the cache; then the caller must read the whole cache.
// The names of ports and Interfaces never change (ovs-vswitchd.conf.db(5)).
func (s *snapshot) applyDelta(tables *cache.TableCache, changed map[string]bool) bool {
	ports, ifaces, bridges := tables.Table(tablePort), tables.Table(tableInterface), tables.Table(tableBridge).RowsShallow()
	next := slices.Clone(s.have.Ports)
	rows := make(map[string]*portRow) // changed rows that exist
	for uuid := range changed {
		if port, known := s.ifaces[uuid]; known {
			uuid = port
		}
		name, known := s.ports[uuid]
		row, there := ports.Row(uuid).(*portRow)
		switch {
		case there:
			rows[uuid] = row
		case known:
			at, found := find(next, name)
			if !found || next[at].local() {
				return false
			}
			s.sums[next[at].Bridge] -= sum(uuid)
			delete(s.ports, uuid)
			delete(s.ifaces, next[at].iface)
			next = slices.Delete(next, at, at+1)
		}
	}
	for uuid, row := range rows {
		at, known := find(next, row.Name)
		bridge := ""
		if known {
			bridge = next[at].Bridge
		} else if bridge = referring(bridges, uuid); bridge == "" {
			return false
		}
		p := portOf(bridge, row)
		if p.local() || len(row.Interfaces) != 1 || known && next[at].uuid != uuid {
			return false
		}
		iface, there := ifaces.Row(row.Interfaces[0]).(*interfaceRow)
		if !there {
			return false
		}
		p.Interfaces = []string{iface.Name}
		p.join(iface)
		if known {
			next[at] = p
			continue
		}
		s.ports[uuid], s.ifaces[p.iface] = p.Name, uuid
		s.sums[bridge] += sum(uuid)
		next = slices.Insert(next, at, p)
	}
	for _, m := range bridges {
		row := m.(*bridgeRow)
		if s.sums[row.Name] != sum(row.Ports...) {
			return false
		}
	}
	if len(bridges) != len(s.sums) || len(next) != ports.Len() || len(s.ifaces) != ifaces.Len() {
		return false
	}
	s.have.Ports, s.have.revision = next, revisions.Add(1)
	return true
}

// referring returns the name of the bridge that contains a port, or "".
func referring(bridges map[string]model.Model, port string) string {
	for _, m := range bridges {
		if row := m.(*bridgeRow); slices.Contains(row.Ports, port) {
			return row.Name
		}
	}
	return ""
}

// find returns the position of a port in a list sorted by name. If the port is
// missing, it returns the position where it would be.
func find(ports []Port, name string) (at int, there bool) {
	return slices.BinarySearchFunc(ports, name, func(p Port, name string) int { return cmp.Compare(p.Name, name) })
}
