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
	// wholeEvery is how often an Observe reads the whole cache, whatever the
	// events say.
	wholeEvery = 30 * time.Second
	// fewRows have changed where to look at each is quicker than to read the
	// whole cache.
	fewRows = 64
)

// snapshot is what the last Observe of a session has returned, and which rows have
// changed since. What it has returned is never changed again.
type snapshot struct {
	mu     sync.Mutex // of what is below; events do not wait for it
	have   Actual
	read   time.Time         // the whole cache; zero: it is to be read
	ports  map[string]string // names of the ports by the UUIDs of their rows
	ifaces map[string]string // the rows of the ports by those of their Interfaces
	sums   map[string]uint64 // of the ports of each bridge, by its name

	events  sync.Mutex
	changed map[string]bool // UUIDs of rows of Port and Interface
	bridges bool            // ports of a bridge have come or gone
	other   bool            // anything else has changed
}

var (
	// revisions count what was observed, to tell whether two are the same.
	revisions atomic.Uint64
	seed      = maphash.MakeSeed()
)

// event takes a row that has changed, or come, or gone. It is called in
// libovsdb's only event goroutine.
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

// observe is what the cache holds for a bridge; what is the same as the last time
// is not read again. It is not whole when an update comes in meanwhile.
func (s *snapshot) observe(tables *cache.TableCache, name string) (have Actual, whole bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events.Lock()
	changed, bridges, other := s.changed, s.bridges, s.other
	s.changed, s.bridges, s.other = make(map[string]bool), false, false
	s.events.Unlock()
	if time.Since(s.read) < wholeEvery && !other {
		if !bridges && len(changed) == 0 {
			return s.have, true
		}
		if len(changed) <= fewRows && s.renew(tables, changed) {
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

// sum stands for a set of rows.
func sum(uuids ...string) (all uint64) {
	for _, uuid := range uuids {
		all += maphash.String(seed, uuid)
	}
	return all
}

// renew reads the rows that have changed, and no others. It reports false where
// that does not explain all that is there: then the whole cache must be read.
// The names of ports and Interfaces never change (ovs-vswitchd.conf.db(5)).
func (s *snapshot) renew(tables *cache.TableCache, changed map[string]bool) bool {
	ports, ifaces, bridges := tables.Table(tablePort), tables.Table(tableInterface), tables.Table(tableBridge).RowsShallow()
	next := slices.Clone(s.have.Ports)
	rows := make(map[string]*portRow) // those that have changed and are there
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

// referring is the name of the bridge that has a port.
func referring(bridges map[string]model.Model, port string) string {
	for _, m := range bridges {
		if row := m.(*bridgeRow); slices.Contains(row.Ports, port) {
			return row.Name
		}
	}
	return ""
}

// find is where a port is, or would be, among those that are sorted by name.
func find(ports []Port, name string) (at int, there bool) {
	return slices.BinarySearchFunc(ports, name, func(p Port, name string) int { return cmp.Compare(p.Name, name) })
}
