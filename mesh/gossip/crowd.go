package gossip

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"math"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/gremesh/gremesh/mesh/lease"
)

// Crowd is all hosts of a mesh at rest but one, in one process, for measurements
// of that one. It is told what as many hosts would tell it, and asked what they
// would ask: each of n hosts probes another one and compares its table with
// another one's every second, so one of them does so with this host; and one of
// them exchanges all state with it in the time that memberlist lets pass between
// a host's exchanges. What they would say to each other is not said: they know
// nobody. One of them knows all, and has all exchanges of state.
type Crowd struct {
	To       lease.ID       // the host that is not of the crowd
	Records  []lease.Record // of all hosts, with its own
	Settings Settings
	Keys     [][]byte // see Config
	Mesh     string   // empty: the crowd is memberlist's alone, and says nothing of gremesh
	Ready    func()   // is called when it may be joined
}

// bystander is one of a crowd.
type bystander struct {
	crowd *known
	name  string
	meta  []byte
	knows bool // all others
	at    netip.AddrPort
	list  *memberlist.Memberlist
}

// crowdStamp is the stamp of each host of a crowd, see signature.
const crowdStamp = 1

func (b *bystander) sign(p packet) packet {
	p.Sign = &signature{From: must(lease.ParseID(b.name)), Stamp: crowdStamp, At: b.at}
	return p
}

// crowdReply is the answer of one of a crowd to a challenge.
type crowdReply struct {
	from *bystander
	to   *signature
	echo echo
}

// known is what all of a crowd know.
type known struct {
	mesh  string
	mu    sync.Mutex
	table *lease.Table

	replies chan crowdReply // callbacks put them here: none calls memberlist
}

// PushPullEvery is the time between two exchanges of all state that a host of a
// mesh of n begins: memberlist's, which it lengthens by the logarithm of n.
func PushPullEvery(n int) time.Duration {
	const threshold = 32
	every := memberlist.DefaultLANConfig().PushPullInterval
	if n <= threshold {
		return every
	}
	return time.Duration(math.Ceil(math.Log2(float64(n))-math.Log2(threshold))+1) * every
}

// Run is the crowd until ctx ends. The host that is measured is to join the host
// of the first record that is not its own.
func (c Crowd) Run(ctx context.Context) error {
	crowd := &known{mesh: c.Mesh, table: lease.NewTable(c.Records...), replies: make(chan crowdReply, len(c.Records))}
	streams := make(chan net.Conn)
	var all []*bystander
	defer func() {
		for _, b := range all {
			_ = b.list.Shutdown()
		}
	}()
	var to lease.Record
	for _, r := range c.Records {
		if r.Host == c.To {
			to = r
			continue
		}
		b := &bystander{crowd: crowd, name: r.Host.String(), knows: len(all) == 0, meta: c.meta(r), at: r.Underlay}
		if err := b.start(c.Keys, r.Underlay, streams); err != nil {
			return fmt.Errorf("host %s of the crowd: %w", r.Name, err)
		}
		all = append(all, b)
	}
	hub := all[0].list.LocalNode()
	for _, b := range all[1:] {
		if _, err := b.list.Join([]string{hub.Address()}); err != nil {
			return err
		}
	}
	// Each has news of itself, which would go out with the next that it says.
	for _, b := range all[1:] {
		_, _ = b.list.Ping(hub.Name, net.UDPAddrFromAddrPort(address(hub)))
	}
	c.Ready()
	return c.talk(ctx, all, to)
}

func (c Crowd) meta(r lease.Record) []byte {
	if c.Mesh == "" {
		return nil
	}
	return encode(meta{
		Protocol: protocol, Mesh: c.Mesh, Name: r.Name, Pool: c.Settings.Space.Pool, Bits: c.Settings.Space.Bits,
	})
}

// start makes it answer, and do nothing by itself.
func (b *bystander) start(keys [][]byte, at netip.AddrPort, streams chan net.Conn) error {
	wire, err := listen(networkConfig{at: at, keyed: len(keys) > 0, isKnown: anybody})
	if err != nil {
		return err
	}
	c := memberlist.DefaultLANConfig()
	c.Name = b.name
	c.BindAddr, c.BindPort = at.Addr().String(), int(at.Port())
	c.AdvertiseAddr, c.AdvertisePort = c.BindAddr, c.BindPort
	c.EnableCompression = false
	c.GossipInterval, c.PushPullInterval = 0, 0
	c.RetransmitMult = 0
	c.ProbeInterval = time.Hour // 0 would have the answers to its own pings dropped
	c.Delegate, c.Alive = b, b
	c.Logger = log.New(io.Discard, "", 0)
	if len(keys) > 0 {
		c.Keyring = must(memberlist.NewKeyring(keys, keys[0]))
	}
	c.Transport = ear{wire, nil}
	if b.knows {
		c.Transport = ear{wire, streams}
	}
	wire.readers.Go(func() { wire.forward(streams) })
	b.list, err = memberlist.Create(c)
	return err
}

// ear is a network whose streams go to the host of the crowd that knows all.
type ear struct {
	*network
	all chan net.Conn // nil: it is not that one
}

// StreamCh implements memberlist.Transport.
func (e ear) StreamCh() <-chan net.Conn { return e.all }

func (n *network) forward(streams chan net.Conn) {
	for {
		select {
		case conn := <-n.streams:
			select {
			case streams <- conn:
			case <-n.closed:
				_ = conn.Close()
			}
		case <-n.closed:
			return
		}
	}
}

// talk is what one host hears of all others.
func (c Crowd) talk(ctx context.Context, all []*bystander, to lease.Record) error {
	every := PushPullEvery(len(all) + 1)
	second, exchange := time.NewTicker(time.Second), time.NewTimer(every/2)
	defer second.Stop()
	defer exchange.Stop()
	address := memberlist.Address{Addr: to.Underlay.String(), Name: to.Host.String()}
	for there := false; ; {
		select {
		case <-ctx.Done():
			return nil
		case r := <-all[0].crowd.replies:
			_ = r.from.list.SendToAddress(memberlist.Address{Addr: r.to.At.String(), Name: r.to.From.String()},
				encode(r.from.sign(packet{Mesh: c.Mesh, Echo: &r.echo})))
		case <-exchange.C:
			exchange.Reset(every)
			if there {
				_, _ = all[0].list.Join([]string{to.Underlay.String()})
			}
		case <-second.C:
			_, err := all[rand.N(len(all))].list.Ping(address.Name, net.UDPAddrFromAddrPort(to.Underlay))
			there = err == nil
			if who := all[rand.N(len(all))]; there && c.Mesh != "" {
				_ = who.list.SendToAddress(address, who.compare())
			}
		}
	}
}

// compare is what a host says every second; see Node.compareTables.
func (b *bystander) compare() []byte {
	b.crowd.mu.Lock()
	defer b.crowd.mu.Unlock()
	return encode(b.sign(packet{Mesh: b.crowd.mesh, Sum: &sum{From: must(lease.ParseID(b.name)), Digest: b.crowd.table.Digest()}}))
}

var errKnowsNobody = errors.New("it knows nobody")

// NotifyAlive implements memberlist.AliveDelegate.
func (b *bystander) NotifyAlive(node *memberlist.Node) error {
	if b.knows || node.Name == b.name {
		return nil
	}
	return errKnowsNobody
}

// NodeMeta implements memberlist.Delegate.
func (b *bystander) NodeMeta(int) []byte { return b.meta }

// NotifyMsg implements memberlist.Delegate: the others know what one is told.
func (b *bystander) NotifyMsg(msg []byte) {
	if p, err := decodePacket(bytes.Clone(msg)); err == nil {
		if p.Echo != nil && !p.Echo.Reply {
			select {
			case b.crowd.replies <- crowdReply{b, p.Sign, echo{Number: p.Echo.Number, Reply: true, Life: 1}}:
			default: // it asks again
			}
		}
		b.crowd.mu.Lock()
		defer b.crowd.mu.Unlock()
		for _, r := range p.Records {
			b.crowd.table.Merge(r)
		}
	}
}

// GetBroadcasts implements memberlist.Delegate.
func (*bystander) GetBroadcasts(int, int) [][]byte { return nil }

// LocalState implements memberlist.Delegate.
func (b *bystander) LocalState(bool) []byte {
	if b.crowd.mesh == "" || !b.knows {
		return nil
	}
	b.crowd.mu.Lock()
	defer b.crowd.mu.Unlock()
	return encode(b.sign(packet{Mesh: b.crowd.mesh, Records: b.crowd.table.Records()}))
}

// MergeRemoteState implements memberlist.Delegate.
func (b *bystander) MergeRemoteState(buf []byte, _ bool) {
	if len(buf) > 0 {
		b.NotifyMsg(buf)
	}
}
