package gossip

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// searchFor is the time for which a host listens for an existing mesh before it
// creates one.
const searchFor = time.Second

// askAt holds the times of the questions as fractions of searchFor. Several
// questions make the search safe against the loss of one or two.
var askAt = []float64{0, 0.1, 0.3, 0.6}

// search is this host's part in the search for a mesh on its link. A host asks
// before it creates a mesh, by multicast to all hosts of the link. Members of a
// mesh with the same gossip key answer. Other hosts that are about to create a
// mesh also answer. Of all hosts about to create one, the host with the lowest
// address creates it.
type search struct {
	lasts     time.Duration
	candidate atomic.Bool // this host is about to create a mesh
	answers   rate

	mu     sync.Mutex
	number [16]byte // number of the open question; zero: none
	heard  map[netip.AddrPort]beacon
	news   chan struct{} // capacity 1
}

func newSearch() *search {
	return &search{lasts: searchFor, heard: make(map[netip.AddrPort]beacon), news: make(chan struct{}, 1)}
}

// maxHeard is the maximum number of answers to keep.
const maxHeard = 1024

// hear stores an answer to the open question.
func (s *search) hear(b beacon) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.number != [16]byte{} && b.Number == s.number && len(s.heard) < maxHeard {
		s.heard[b.Underlay] = b
		notify(s.news)
	}
}

// ask opens a question and removes earlier answers. The zero number closes the
// question.
func (s *search) ask(number [16]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.number = number
	clear(s.heard)
}

// answered returns the answers received so far, sorted by address.
func (s *search) answered() []beacon {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.SortedFunc(maps.Values(s.heard), func(a, b beacon) int { return a.Underlay.Compare(b.Underlay) })
}

// members returns the answers of hosts that are in a mesh, at most eight.
func members(heard []beacon) []beacon {
	in := slices.DeleteFunc(slices.Clone(heard), func(b beacon) bool { return b.Mesh == "" })
	return in[:min(len(in), 8)]
}

// rival returns the first other host that is about to create a mesh and has a
// lower address than this one.
func rival(heard []beacon, self netip.AddrPort) (beacon, bool) {
	for _, b := range heard {
		if b.Mesh == "" && b.Underlay.Compare(self) < 0 {
			return b, true
		}
	}
	return beacon{}, false
}

// search looks for an existing mesh on this host's link before this host
// creates one. It returns the addresses of the members that answered. If why is
// empty, this host may create a mesh. Otherwise why gives the reason why it
// must not.
func (n *Node) search(ctx context.Context) (here []netip.AddrPort, why string) {
	if n.network == nil {
		return nil, ""
	}
	n.seeking.candidate.Store(true)
	heard, err := n.askLink(ctx)
	if err != nil { // without multicast on the link, only the seeds can tell
		n.cfg.Log.Debug("search for a mesh", "err", err)
		return nil, ""
	}
	in := members(heard)
	for _, b := range in {
		here = append(here, b.Underlay)
	}
	if len(in) > 0 {
		n.seeking.candidate.Store(false)
		n.cfg.Log.Warn("join the mesh on this network; create none", "mesh", in[0].Mesh, "peer", in[0].Name, "underlay", in[0].Underlay)
		return here, fmt.Sprintf("a mesh with this key is on this network: %s at %s is in it", in[0].Name, in[0].Underlay.Addr())
	}
	if other, wait := rival(heard, n.cfg.Underlay); wait {
		n.seeking.candidate.Store(false)
		return nil, fmt.Sprintf("%s at %s is about to create a mesh with this key (mesh.bootstrap); this host joins it", other.Name, other.Underlay.Addr())
	}
	return nil, ""
}

// askLink asks all hosts of the link several times and returns the answers. It
// returns early when a member has answered.
func (n *Node) askLink(ctx context.Context) ([]beacon, error) {
	var number [16]byte
	_, _ = rand.Read(number[:]) // never fails (crypto/rand)
	n.seeking.ask(number)
	defer n.seeking.ask([16]byte{})
	question := beacon{Number: number, ID: n.self, Name: n.cfg.Name, Underlay: n.cfg.Underlay, Pad: make([]byte, questionSize)}
	startedAt := time.Now()
	var failed error
	sent := false
	for _, part := range append(slices.Clone(askAt), 1) {
		due := time.NewTimer(time.Until(startedAt.Add(time.Duration(part * float64(n.seeking.lasts)))))
		for waiting := true; waiting; {
			select {
			case <-due.C:
				waiting = false
			case <-n.seeking.news:
				if len(members(n.seeking.answered())) > 0 {
					due.Stop()
					return n.seeking.answered(), nil
				}
			case <-ctx.Done():
				due.Stop()
				return nil, ctx.Err()
			}
		}
		if part == 1 {
			break
		}
		switch err := n.network.ask(question.seal(n.cfg.Keys)); {
		case errors.Is(err, errNoLink):
			return nil, err
		case err != nil: // a device that came up a moment ago may have no route yet
			failed = err
		default:
			sent = true
		}
	}
	if !sent {
		return nil, failed
	}
	return n.seeking.answered(), nil
}

// hearBeacon handles the datagram of a beacon. It runs in the goroutines that
// read the sockets.
func (n *Node) hearBeacon(packet []byte, from netip.AddrPort, socket *net.UDPConn) {
	b, err := openBeacon(n.cfg.Keys, packet)
	if err != nil || b.ID == n.self || b.Underlay == n.cfg.Underlay || b.Underlay != netip.AddrPortFrom(from.Addr().Unmap().WithZone(""), from.Port()) {
		return
	}
	if b.Answer {
		n.seeking.hear(b)
		return
	}
	name := n.View().Mesh
	if name == "" && !n.seeking.candidate.Load() || !n.seeking.answers.allow(answerRate) {
		return
	}
	answer := beacon{Number: b.Number, Answer: true, ID: n.self, Name: n.cfg.Name, Mesh: name, Underlay: n.cfg.Underlay}.seal(n.cfg.Keys)
	if len(answer) <= len(packet) {
		_, _ = socket.WriteToUDPAddrPort(answer, from) // ignore the error, because the other host asks again
	}
}
