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
	datagram       = 1300 // bytes of a user message that surely fit one UDP packet
	tcpTimeout     = 2 * time.Second
	gossipNodes    = 8 // as often as a host of less than a hundred sends one thing
)

// memberlistConfig is memberlist's for a LAN, with these differences: names
// are host IDs, which may come back at another address soon after they failed
// at the old one; no compression, which costs more CPU than the rest of gossip
// together; and what is new goes to more hosts at a time, for a mesh that stands
// in a second. It is sent no more often for that, and a host at rest is woken no
// more often.
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

// logWriter takes memberlist's log lines. Most are about what gossip mends by
// itself: they are for debugging.
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

// send lets a message out. A small one goes as a datagram, and is asked for
// again if it is lost; a large one by TCP.
func (n *Node) send(e lease.Envelope) {
	at, ok := n.locate(e.To)
	if !ok {
		return
	}
	n.sendPacket(e.To, at, packet{Mesh: n.mesh, Lease: &e.Message})
}

func (n *Node) locate(id lease.ID) (netip.AddrPort, bool) {
	if m, ok := n.members[id]; ok {
		return m.underlay, true
	}
	r, ok := n.machine.Table().Get(id)
	return r.Underlay, ok
}

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

// directly is how many hosts hear of a change at once, by datagram; the
// others hear of it by gossip.
const directly = 64

// tell spreads records that have changed, now that they are durable.
func (n *Node) tell() {
	for _, r := range n.spread {
		p := n.sign(packet{Mesh: n.mesh, Records: []lease.Record{r}})
		n.delegate.news.QueueBroadcast(news{host: r.Host, message: encode(p)})
		left := directly
		for id, m := range n.members {
			if left--; left < 0 {
				break
			}
			n.sendPacket(id, m.underlay, p)
		}
	}
	n.spread = nil
}

// greet tells newcomers of the host's lease: what was spread before they came
// has not reached them.
func (n *Node) greet() {
	if len(n.newcomers) > 0 {
		n.tellPairs()
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
