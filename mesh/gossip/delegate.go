package gossip

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/memberlist"

	"github.com/gremesh/gremesh/mesh/lease"
)

// delegate receives memberlist's callbacks. memberlist holds its locks during a
// callback.
type delegate struct {
	self      lease.ID
	pool      lease.Pool
	adapt     bool                       // pool is only a default
	otherPool atomic.Pointer[lease.Pool] // the pool of a host of the mesh, if it differs from pool
	inbox     *inbox
	news      *memberlist.TransmitLimitedQueue
	meta      atomic.Pointer[meta]           // this host's meta, as last published
	state     atomic.Pointer[packet]         // this host's state, as last published
	duplicate atomic.Pointer[netip.AddrPort] // another address at which this host's ID was seen
	lives     sync.Map                       // lease.ID to uint64: the life of the process that last answered directly
}

// NodeMeta implements memberlist.Delegate.
func (d *delegate) NodeMeta(int) []byte { return encode(d.meta.Load()) }

// NotifyMsg implements memberlist.Delegate.
func (d *delegate) NotifyMsg(msg []byte) { d.inbox.put(event{packet: bytes.Clone(msg)}) }

// GetBroadcasts implements memberlist.Delegate.
func (d *delegate) GetBroadcasts(overhead, limit int) [][]byte {
	return d.news.GetBroadcasts(overhead, limit)
}

// LocalState implements memberlist.Delegate.
func (d *delegate) LocalState(bool) []byte { return encode(d.state.Load()) }

// MergeRemoteState implements memberlist.Delegate.
func (d *delegate) MergeRemoteState(buf []byte, join bool) {
	d.inbox.put(event{packet: bytes.Clone(buf), joining: join})
}

// NotifyJoin implements memberlist.EventDelegate.
func (d *delegate) NotifyJoin(node *memberlist.Node) {
	m, err := d.admit(node)
	switch {
	case err != nil: // for example, the host has created its own mesh since it joined
		d.NotifyLeave(node)
	case m.id != d.self:
		d.inbox.put(event{joined: m})
	}
}

// NotifyUpdate implements memberlist.EventDelegate.
func (d *delegate) NotifyUpdate(node *memberlist.Node) { d.NotifyJoin(node) }

// NotifyLeave implements memberlist.EventDelegate.
func (d *delegate) NotifyLeave(node *memberlist.Node) {
	if id, err := lease.ParseID(node.Name); err == nil {
		d.inbox.put(event{failed: id})
	}
}

// NotifyConflict implements memberlist.ConflictDelegate.
func (d *delegate) NotifyConflict(existing, other *memberlist.Node) {
	id, err := lease.ParseID(existing.Name)
	if err != nil {
		return
	}
	also := address(other)
	if id == d.self {
		d.duplicate.Store(&also)
	}
	d.inbox.put(event{duplicates: &duplicateID{id: id, here: address(existing), also: also}})
}

// NotifyAlive implements memberlist.AliveDelegate. It refuses a host of another
// mesh, even if a third host reports it. It also refuses a message that an
// earlier process of a host sent, because an attacker may have replayed it.
// [Node.handleEcho] accepts that process if it turns out to be running and
// answers directly.
func (d *delegate) NotifyAlive(node *memberlist.Node) error {
	m, err := d.admit(node)
	if err != nil || m.id == d.self {
		return err
	}
	if last, ok := d.lives.Load(m.id); ok && m.meta.Life < last.(uint64) {
		d.inbox.put(event{stale: m})
		return fmt.Errorf("%s at %s: an earlier process of this host", m.meta.Name, m.underlay)
	}
	return nil
}

// NotifyMerge implements memberlist.MergeDelegate. An error makes a join fail
// at both ends.
func (d *delegate) NotifyMerge(nodes []*memberlist.Node) error {
	for _, node := range nodes {
		if node.State != memberlist.StateAlive {
			continue
		}
		if _, err := d.admit(node); err != nil {
			return err
		}
	}
	return nil
}

// refusedMark is the prefix of the errors of admit. memberlist keeps only the
// text of an error. The mark makes it possible to find these errors in
// memberlist's text.
const refusedMark = "refused: "

const otherMesh = "it is of another mesh"

// admit decodes and checks the meta data of a node. It refuses a node that
// cannot be in this host's mesh, and puts the refusal into the inbox.
func (d *delegate) admit(node *memberlist.Node) (*member, error) {
	m, why := d.checkAdmission(node)
	if why == "" {
		return m, nil
	}
	r := &refusal{name: fmt.Sprintf("%.40q", node.Name), underlay: address(node), why: why}
	if lease.ValidName(node.Name) {
		r.name = node.Name
	}
	if m != nil {
		r.id, r.name = m.id, m.meta.Name
	}
	d.inbox.put(event{refused: r})
	return nil, fmt.Errorf("%s%s at %s: %s", refusedMark, r.name, r.underlay, why)
}

// checkAdmission returns the member that a node describes, and the reason to
// refuse it. An empty reason means that the node is accepted.
func (d *delegate) checkAdmission(node *memberlist.Node) (*member, string) {
	id, err := lease.ParseID(node.Name)
	if err != nil {
		return nil, "not a gremesh host: " + err.Error()
	}
	theirs, err := decodeMeta(node.Meta)
	if err != nil {
		return nil, err.Error()
	}
	m := &member{id: id, underlay: address(node), meta: theirs}
	pool := theirs.leasePool()
	if pool == (lease.Pool{}) { // the host takes the pool of its mesh
		pool = d.pool
	}
	if differences := differences(d.pool, pool); len(differences) > 0 {
		if d.adapt && pool.Validate() == nil {
			d.otherPool.Store(&pool)
		}
		return m, strings.Join(differences, ", ")
	}
	return m, differentMesh(d.meta.Load().Mesh, theirs.Mesh)
}

// differentMesh returns the reason to refuse a host with the mesh ID theirs. It
// returns the empty string if the IDs are equal, or if one of the hosts is in
// no mesh yet.
func differentMesh(ours, theirs string) string {
	if ours == "" || theirs == "" || ours == theirs {
		return ""
	}
	return fmt.Sprintf("%s, %s; this host's is %s", otherMesh, theirs, ours)
}

func address(node *memberlist.Node) netip.AddrPort {
	addr, _ := netip.AddrFromSlice(node.Addr)
	return netip.AddrPortFrom(addr.Unmap(), node.Port)
}

// news is a packet that gossip spreads through the mesh. In the queue, a newer
// packet of the same host replaces it.
type news struct {
	host    lease.ID
	message []byte
}

// Name implements memberlist.NamedBroadcast.
func (n news) Name() string { return n.host.String() }

// Invalidates implements memberlist.Broadcast.
func (n news) Invalidates(memberlist.Broadcast) bool { return false }

// Message implements memberlist.Broadcast.
func (n news) Message() []byte { return n.message }

// Finished implements memberlist.Broadcast.
func (n news) Finished() {}
