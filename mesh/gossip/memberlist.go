package gossip

import (
	"context"
	"log"
	"log/slog"
	"net/netip"
	"strings"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/gremesh/gremesh/mesh"
	"github.com/gremesh/gremesh/mesh/lease"
)

const (
	retransmitMult = 4
	datagram       = 1300 // bytes of a user message that surely fit one UDP packet
	tcpTimeout     = 2 * time.Second
)

// memberlistConfig is memberlist's for a LAN, with these differences: names
// are host IDs, which may come back at another address soon after they failed
// at the old one; no compression, which costs more CPU than the rest of gossip
// together; and twice the pace of gossip, for a mesh that stands in a second.
func (n *Node) memberlistConfig() *memberlist.Config {
	c := memberlist.DefaultLANConfig()
	c.Name = n.self.String()
	c.BindAddr, c.BindPort = n.cfg.Underlay.Addr().String(), int(n.cfg.Underlay.Port())
	c.AdvertiseAddr, c.AdvertisePort = c.BindAddr, c.BindPort
	c.DeadNodeReclaimTime = time.Second
	c.EnableCompression = false
	c.GossipInterval = 100 * time.Millisecond
	c.TCPTimeout = tcpTimeout
	c.Delegate, c.Events, c.Conflict, c.Alive, c.Merge = n.delegate, n.delegate, n.delegate, n.delegate, n.delegate
	c.Logger = log.New(logWriter{n}, "", 0)
	c.LogOutput = nil
	if len(n.cfg.Keys) > 0 {
		c.Keyring = must(memberlist.NewKeyring(n.cfg.Keys, n.cfg.Keys[0]))
	}
	return c
}

// logWriter takes memberlist's log lines, "[WARN] memberlist: text". Most are
// about what gossip mends by itself: they are for debugging.
type logWriter struct{ n *Node }

// Write implements io.Writer.
func (w logWriter) Write(line []byte) (int, error) {
	text := strings.TrimSpace(string(line))
	text = text[strings.Index(text, "]")+1:]
	text = strings.TrimPrefix(strings.TrimSpace(text), "memberlist: ")
	w.n.cfg.Log.Log(context.Background(), slog.LevelDebug, text, "from", "memberlist")
	if foreignKey(text) {
		_, from, _ := strings.Cut(text, "from=")
		host, _, _ := strings.Cut(from, ":")
		w.n.delegate.inbox.put(event{foreign: &host})
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
	data := encode(p)
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

// directly is how many hosts hear of a new lease at once, by datagram; the
// others hear of it by gossip.
const directly = 64

// tellOwn spreads the host's own record when it has changed, once it is
// durable. A lease given up is not spread alone: it goes with the whole table,
// see sayGoodbye.
func (n *Node) tellOwn() {
	own := n.machine.Own()
	if own.Version == n.told.Version || own.State == lease.Claiming || own.State != lease.Held && n.told.State == lease.Held {
		return
	}
	n.told = own
	p := packet{Mesh: n.mesh, Records: []lease.Record{own}}
	n.delegate.news.QueueBroadcast(news{host: n.self, message: encode(p)})
	left := directly
	for id, m := range n.members {
		if left--; left < 0 {
			break
		}
		n.sendPacket(id, m.underlay, p)
	}
	if own.State == lease.Held {
		n.cfg.Log.Info("holds a lease", "subnet", own.Subnet, "age", own.Age)
	}
}

// greet tells newcomers of the host's lease: what was spread before they came
// has not reached them.
func (n *Node) greet() {
	own := n.machine.Own()
	for _, m := range n.newcomers {
		if own.State == lease.Held {
			n.sendPacket(m.id, m.underlay, packet{Mesh: n.mesh, Records: []lease.Record{own}})
		}
	}
	n.newcomers = nil
}

// sayGoodbye hands the whole table to everyone who stays, and with it the
// promises made here, before it leaves.
func (n *Node) sayGoodbye(release bool) error {
	n.commit(n.machine.Leave(release))
	data := encode(packet{Mesh: n.mesh, Records: n.machine.Table().Records()})
	for id, m := range n.members {
		n.outgoing.Go(func() { n.sendReliably(id, m.underlay, data) })
	}
	n.outgoing.Wait()
	return n.list.Leave(tcpTimeout)
}

// handleRefusal reports a host that was not let in, or that did not let us in.
func (n *Node) handleRefusal(r refusal) {
	problem := mesh.Problem{
		What: "refused host " + r.name + " at " + r.underlay.String() + ": " + r.why,
		Do:   "make the settings the same on all hosts of the mesh",
	}
	if n.problems.set("refused "+r.underlay.String(), problem, unlessAgain) {
		n.cfg.Log.Warn("refused a host", "host", r.name, "underlay", r.underlay, "err", r.why)
	}
}

// handleForeignKey reports gossip that can't be read.
func (n *Node) handleForeignKey(from string) {
	problem := mesh.Problem{
		What: "gossip from " + from + " is encrypted with another key, or only one of the two hosts encrypts",
		Do:   "make mesh.key_file and mesh.insecure the same on all hosts of the mesh",
	}
	if n.problems.set("key "+from, problem, unlessAgain) {
		n.cfg.Log.Warn("gossip with another key", "underlay", from)
	}
}

// handleTwins reports two hosts with one ID. Third hosts tell both.
func (n *Node) handleTwins(t twins) {
	if t.id != n.self {
		n.sendPacket(t.id, t.here, packet{Mesh: n.mesh, Twin: t.also})
		n.sendPacket(t.id, t.also, packet{Mesh: n.mesh, Twin: t.here})
		return
	}
	if t.also == n.cfg.Underlay {
		return
	}
	problem := mesh.Problem{
		What: "another host has this host's ID, " + n.self.String() + ", at " + t.also.Addr().String() + ": its disk was cloned",
		Do:   "on the copy, remove state.json in state_dir and start the agent again",
	}
	if n.problems.set("twin", problem, unlessAgain) {
		n.cfg.Log.Error("another host has this host's ID", "host", n.self, "underlay", t.also)
	}
}
