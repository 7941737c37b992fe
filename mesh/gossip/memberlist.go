package gossip

import (
	"log"
	"net/netip"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/gremesh/gremesh/mesh/lease"
)

const (
	retransmitMult = 4
	datagram       = 1300 // bytes; a user message of this size always fits into one UDP packet
	tcpTimeout     = 2 * time.Second
	gossipNodes    = 8 // equals the number of times that a host of a mesh below 100 hosts sends one message
)

// memberlistConfig returns memberlist's configuration for a LAN, with three
// differences.
//
// Node names are host IDs. A host that failed at one address may soon come back
// at another address. Its name is therefore free again after one second.
//
// Compression is off, because it costs more CPU time than the rest of gossip
// together.
//
// A new message goes to more hosts at a time, so that a new mesh works within a
// second. Each message is still sent the same number of times. An idle host
// wakes up as often as before.
func (n *Node) memberlistConfig(wire memberlist.Transport) *memberlist.Config {
	c := memberlist.DefaultLANConfig()
	c.Name = n.self.String()
	c.BindAddr, c.BindPort = n.cfg.Underlay.Addr().String(), int(n.cfg.Underlay.Port())
	c.AdvertiseAddr, c.AdvertisePort = c.BindAddr, c.BindPort
	c.DeadNodeReclaimTime = time.Second
	c.EnableCompression = false
	c.GossipNodes = gossipNodes
	c.TCPTimeout = tcpTimeout
	c.Delegate, c.Events, c.Conflict, c.Alive, c.Merge = n.delegate, n.delegate, n.delegate, n.delegate, n.delegate
	c.Logger = log.New(logWriter{n}, "", 0)
	c.Transport = wire
	if len(n.cfg.Keys) > 0 {
		c.Keyring = must(memberlist.NewKeyring(n.cfg.Keys, n.cfg.Keys[0]))
	}
	return c
}

// logWriter writes memberlist's log lines to the agent's log at level debug.
// Most of these lines are about faults that gossip corrects by itself.
type logWriter struct{ n *Node }

// Write implements io.Writer.
func (w logWriter) Write(line []byte) (int, error) {
	l := parseLogLine(string(line))
	attrs := []any{"from", "memberlist"}
	if l.from.IsValid() {
		attrs = append(attrs, "underlay", l.from)
	}
	w.n.cfg.Log.Debug(l.text, attrs...)
	if l.key && l.from.IsValid() {
		w.n.delegate.inbox.put(event{foreign: &unreadable{from: l.from.Addr(), stream: l.stream}})
	}
	return len(line), nil
}

// send sends a message to one host. A small message goes as a datagram, and the
// lease machine asks again if it is lost. A large message goes by TCP.
func (n *Node) send(e lease.Envelope) {
	at, ok := n.locate(e.To)
	if !ok {
		return
	}
	n.sendPacket(e.To, at, packet{Mesh: n.mesh, Lease: &e.Message})
}

// locate returns the gossip address of a host. It prefers the address of a live
// member to the address in the lease table.
func (n *Node) locate(id lease.ID) (netip.AddrPort, bool) {
	if m, ok := n.members[id]; ok {
		return m.underlay, true
	}
	r, ok := n.machine.Table().Get(id)
	return r.Underlay, ok
}

// sendPacket signs a packet and sends it. A packet of at most datagram bytes
// goes as one UDP datagram. A larger packet goes by TCP in a goroutine of
// n.outgoing.
func (n *Node) sendPacket(to lease.ID, at netip.AddrPort, p packet) {
	data := encode(n.sign(p))
	if len(data) <= datagram {
		if err := n.list.SendToAddress(memberlist.Address{Addr: at.String(), Name: to.String()}, data); err != nil {
			n.cfg.Log.Debug("send", "host", to, "underlay", at, "err", err)
		}
		return
	}
	n.outgoing.Go(func() { n.sendReliably(to, at, data) })
}

func (n *Node) sendReliably(to lease.ID, at netip.AddrPort, data []byte) {
	node := &memberlist.Node{Name: to.String(), Addr: at.Addr().AsSlice(), Port: at.Port()}
	if err := n.list.SendReliable(node, data); err != nil {
		n.cfg.Log.Debug("send", "host", to, "underlay", at, "err", err)
	}
}

// directFanout is the number of hosts that get a change at once, by datagram.
// The other hosts get it by gossip.
const directFanout = 64

// broadcastRecords broadcasts the records that have changed. The caller has
// written them to disk before.
func (n *Node) broadcastRecords() {
	for _, r := range n.pendingBroadcasts {
		p := n.sign(packet{Mesh: n.mesh, Records: []lease.Record{r}})
		n.delegate.news.QueueBroadcast(news{host: r.Host, message: encode(p)})
		left := directFanout
		for id, m := range n.members {
			if left--; left < 0 {
				break
			}
			n.sendPacket(id, m.underlay, p)
		}
	}
	n.pendingBroadcasts = nil
}

// sendLeaseToNewPeers sends this host's lease, its offers and its removals by
// force to the new members. Earlier broadcasts have not reached these members.
func (n *Node) sendLeaseToNewPeers() {
	if len(n.newcomers) > 0 {
		n.sendOffers()
	}
	if hosts := n.forcedHosts(); len(hosts) > 0 {
		for _, m := range n.newcomers {
			n.sendPacket(m.id, m.underlay, packet{Mesh: n.mesh, Forced: &forced{Hosts: hosts}})
		}
	}
	own := n.machine.Own()
	for _, m := range n.newcomers {
		if own.State == lease.Held {
			n.sendPacket(m.id, m.underlay, packet{Mesh: n.mesh, Records: []lease.Record{own}})
		}
	}
	n.newcomers = nil
}
