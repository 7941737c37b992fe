package load

import (
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

	"github.com/fxamacker/cbor/v2"
	"github.com/hashicorp/memberlist"

	"github.com/gremesh/gremesh/mesh/lease"
)

// Crowd simulates, in one process, all hosts of an idle mesh except one. It
// serves to measure that one host. The measured host gets the messages that as
// many real hosts would send to it.
//
// In a mesh of n hosts each host probes another host every second. It also
// compares its table with another host's. So every second one host of the crowd
// does both with the measured host. One host of the crowd exchanges its whole
// state with the measured host at memberlist's interval.
//
// The hosts of the crowd do not talk to each other and do not know each other.
// Only one of them knows all others, and it does all exchanges of state.
type Crowd struct {
	To      lease.ID       // the measured host, which is not in the crowd
	Records []lease.Record // of all hosts, including the measured one
	Pool    lease.Pool
	Keys    [][]byte // see gossip.Config
	Mesh    string   // empty: the crowd speaks only memberlist's protocol, not gremesh's
	Ready   func()   // called when the measured host may join the crowd
}

// bystander is one host of a crowd.
type bystander struct {
	crowd *known
	name  string
	meta  []byte
	knows bool // this host knows all others
	at    netip.AddrPort
	list  *memberlist.Memberlist
}

// crowdStamp is the stamp of every host of a crowd, see signature.
const crowdStamp = 1

func (b *bystander) sign(p packet) packet {
	p.Sign = &signature{From: must(lease.ParseID(b.name)), Stamp: crowdStamp, At: b.at}
	return p
}

// crowdReply is the answer of one host of a crowd to a challenge.
type crowdReply struct {
	from *bystander
	to   *signature
	echo echo
}

// known is the state that all hosts of a crowd share.
type known struct {
	mesh  string
	mu    sync.Mutex
	table *lease.Table

	replies chan crowdReply // callbacks send here, because no callback may call memberlist
}

// PushPullEvery returns the interval at which a host in a mesh of n hosts
// starts exchanges of its whole state. memberlist lengthens the interval with
// the logarithm of n.
func PushPullEvery(n int) time.Duration {
	const threshold = 32
	every := memberlist.DefaultLANConfig().PushPullInterval
	if n <= threshold {
		return every
	}
	return time.Duration(math.Ceil(math.Log2(float64(n))-math.Log2(threshold))+1) * every
}

// Run runs the crowd until ctx ends. It returns an error if a host of the crowd
// cannot start. The measured host must join the host of the first record that
// is not its own.
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
	// Each host has queued news of itself, and memberlist sends it with the
	// host's next message. This ping sends it to the hub, and not later to the
	// measured host.
	for _, b := range all[1:] {
		_, _ = b.list.Ping(hub.Name, net.UDPAddrFromAddrPort(all[0].at))
	}
	c.Ready()
	return c.talk(ctx, all, to)
}

func (c Crowd) meta(r lease.Record) []byte {
	if c.Mesh == "" {
		return nil
	}
	return encode(meta{
		Protocol: protocol, Mesh: c.Mesh, Name: r.Name, Pool: c.Pool.Prefix, Bits: c.Pool.Bits,
	})
}

// start makes the host answer messages. By itself the host sends nothing.
func (b *bystander) start(keys [][]byte, at netip.AddrPort, streams chan net.Conn) error {
	wire, err := listen(at, streams)
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
	c.ProbeInterval = time.Hour // with 0, memberlist would drop the answers to this host's own pings
	c.Delegate, c.Alive = b, b
	c.Logger = log.New(io.Discard, "", 0)
	if len(keys) > 0 {
		c.Keyring = must(memberlist.NewKeyring(keys, keys[0]))
	}
	c.Transport = ear{wire, nil}
	if b.knows {
		c.Transport = ear{wire, streams}
	}
	b.list, err = memberlist.Create(c)
	return err
}

// ear is a transport that gets no streams if all is nil.
type ear struct {
	*transport
	all chan net.Conn
}

// StreamCh implements memberlist.Transport. All streams of the crowd go to the
// host that knows all others.
func (e ear) StreamCh() <-chan net.Conn { return e.all }

// talk sends the messages of the crowd to the measured host until ctx ends.
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

// compare returns the message that a host sends every second, see
// compareTables in mesh/gossip/table_comparison.go.
func (b *bystander) compare() []byte {
	b.crowd.mu.Lock()
	defer b.crowd.mu.Unlock()
	return encode(b.sign(packet{Mesh: b.crowd.mesh, TableDigest: &tableDigest{From: must(lease.ParseID(b.name)), Digest: b.crowd.table.Digest()}}))
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

// NotifyMsg implements memberlist.Delegate. All hosts of the crowd share the
// records that one of them receives.
func (b *bystander) NotifyMsg(msg []byte) {
	var p packet
	if err := cbor.Unmarshal(msg, &p); err == nil {
		if p.Echo != nil && !p.Echo.Reply && p.Sign != nil {
			select {
			case b.crowd.replies <- crowdReply{b, p.Sign, echo{Number: p.Echo.Number, Reply: true, Life: 1}}:
			default: // the measured host asks again
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
