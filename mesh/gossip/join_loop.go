package gossip

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/gremesh/gremesh/mesh"
	"github.com/gremesh/gremesh/mesh/lease"
)

// RefusedError means that this host and the mesh of its seeds do not match.
// Either a setting or the gossip key differs, or the hosts are in different
// meshes.
type RefusedError struct{ Why error }

// Error implements error.
func (e *RefusedError) Error() string {
	return fmt.Sprintf("refusing to join: %v; make the settings the same on all hosts of the mesh", e.Why)
}

// DuplicateIDError means that another host with this host's ID is running.
type DuplicateIDError struct {
	ID   lease.ID
	Also netip.AddrPort
}

// Error implements error.
func (e *DuplicateIDError) Error() string {
	return fmt.Sprintf("refusing to take part: host ID %s is in use at %s; was this disk cloned? "+
		"Run `gremesh reset-identity` on the copy, which makes it a host of its own", e.ID, e.Also.Addr())
}

const (
	firstBackoff = 20 * time.Millisecond // short, because the seed may be starting too
	earlyBackoff = 80 * time.Millisecond // the largest backoff while the seed may still be starting
	earlyFor     = 3 * time.Second       // counted from the start of this process
	lastBackoff  = 2 * time.Second
	rejoinEvery  = 3 * time.Second
	rejoinAtOnce = 8
	seedsEvery   = 30 * time.Second
)

// joinLoop joins the seeds and the hosts known from earlier runs. After that it
// joins missing hosts until ctx ends. So two halves of a mesh find each other
// again.
func (n *Node) joinLoop(ctx context.Context) error {
	backoff := firstBackoff
	var here []netip.AddrPort // members of a mesh that the search found on this network
	for {
		failed := n.joinAny(ctx, n.seeds(here), *n.missingPeers.Load())
		if also := n.delegate.duplicate.Load(); also != nil && n.answers(*also) {
			// The other host cannot check whether this process is alive after
			// it has ended. The packet has no mesh, because the receiver does
			// not check it.
			n.sendReliably(n.self, *also, encode(packet{Duplicate: n.cfg.Underlay, Uptime: time.Since(n.started)}))
			return &DuplicateIDError{ID: n.self, Also: *also}
		}
		if ctx.Err() != nil {
			return nil
		}
		self := n.standing()
		if failed == nil && (!self.founder || !self.newcomer) {
			break
		}
		if pool := n.delegate.otherPool.Load(); pool != nil && failed != nil {
			return &PoolError{Pool: *pool}
		}
		why, decision := reasons(failed), nextStep(failed, self)
		if failed == nil { // the joined hosts are in no mesh yet
			decision = found
		}
		if decision == stop {
			return &RefusedError{Why: refusalFor(failed)}
		}
		if decision == found || decision == goOn {
			if err := n.prepareFounding(ctx); err != nil {
				decision, why = retry, err.Error()
			}
		}
		if decision == found {
			if here, why = n.search(ctx); why == "" && ctx.Err() == nil {
				break
			}
			if len(here) > 0 || ctx.Err() != nil {
				continue
			}
		}
		if decision == goOn {
			break
		}
		if last := n.joinError.Swap(&why); last == nil || *last != why {
			n.cfg.Log.Warn("no host could be joined yet", "err", why)
		}
		if !sleepContext(ctx, backoff) {
			return nil
		}
		if backoff *= 2; time.Since(n.started) < earlyFor {
			backoff = min(backoff, earlyBackoff)
		}
		backoff = min(backoff, lastBackoff)
	}
	n.joinError.Store(nil)
	close(n.met)

	// A second round with the seeds repairs losses of gossip in the first
	// round.
	asked := time.Now()
	seeds := n.cfg.Seeds
	tick := time.NewTicker(rejoinEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case at := <-n.rejoinRequests:
			if failed := n.joinAny(ctx, nil, []missing{{at: at}}); failed != nil {
				n.cfg.Log.Debug("cannot join a host that asked for it", "underlay", at, "err", reasons(failed))
			}
			continue
		case <-tick.C:
		}
		absent := *n.missingPeers.Load()
		switch {
		case n.alone():
			seeds = n.cfg.Seeds
		case time.Since(asked) > seedsEvery:
			asked, seeds = time.Now(), n.silentSeeds(ctx)
		}
		if len(seeds) == 0 && len(absent) == 0 {
			continue
		}
		if failed := n.joinAny(ctx, seeds, absent); failed != nil {
			n.cfg.Log.Debug("cannot reach the missing hosts", "err", reasons(failed))
		}
		seeds = nil
	}
}

// seeds returns the seeds of the configuration and the given addresses of
// members, as host or host:port.
func (n *Node) seeds(found []netip.AddrPort) []string {
	seeds := slices.Clone(n.cfg.Seeds)
	for _, at := range found {
		seeds = append(seeds, at.String())
	}
	return seeds
}

// standing returns the facts about this host that decide how it continues if it
// can join no host.
func (n *Node) standing() standing {
	view := n.View()
	return standing{
		newcomer: n.newcomer && view.Mesh == "", founder: n.cfg.Bootstrap,
		holder: view.Self.Subnet.IsValid(), keyed: len(n.cfg.Keys) > 0,
	}
}

// silentSeeds returns the seeds that this host does not find alive. If two
// halves of a mesh have forgotten each other, only the seeds can connect them
// again.
func (n *Node) silentSeeds(ctx context.Context) []string {
	alive := make(map[netip.Addr]bool)
	for _, p := range n.View().Peers {
		alive[p.Underlay] = alive[p.Underlay] || p.Liveness == mesh.Alive
	}
	var silent []string
	found, _ := n.resolve(ctx, n.cfg.Seeds) // a failed name is tried again in the next round
	for _, to := range found {
		if !alive[to.at.Addr()] {
			silent = append(silent, to.at.String())
		}
	}
	return silent
}

// resolve turns seeds (host or host:port) into addresses of the underlay's
// family. It leaves out this host's own address. It returns a seed without an
// address as a failed attempt.
func (n *Node) resolve(ctx context.Context, seeds []string) (found, failed []attempt) {
	network := "ip4"
	if n.cfg.Underlay.Addr().Is6() {
		network = "ip6"
	}
	for _, seed := range seeds {
		host, port := seed, n.cfg.Underlay.Port()
		if h, p, err := net.SplitHostPort(seed); err == nil {
			number, err := strconv.ParseUint(p, 10, 16)
			if err != nil {
				failed = append(failed, attempt{seed: seed, outcome: silent, why: err.Error()})
				continue
			}
			host, port = h, uint16(number)
		}
		addrs, err := net.DefaultResolver.LookupNetIP(ctx, network, host)
		if err != nil {
			failed = append(failed, attempt{seed: seed, outcome: silent, why: unresolved(err)})
		}
		for _, addr := range addrs {
			if at := netip.AddrPortFrom(addr.Unmap(), port); at != n.cfg.Underlay {
				found = append(found, attempt{seed: seed, at: at})
			}
		}
	}
	n.rememberSeeds(found)
	return found, failed
}

// unresolved returns the reason why a name has no address, as a short text.
func unresolved(err error) string {
	if dns := (*net.DNSError)(nil); errors.As(err, &dns) {
		return "the name cannot be resolved: " + dns.Err
	}
	return "the name cannot be resolved: " + err.Error()
}

// joinAny exchanges state with the seeds and with at most rejoinAtOnce of the
// other hosts. It returns nil as soon as one join succeeds. The remaining joins
// continue, and Run waits for them before it returns. If no join succeeds,
// joinAny returns the failed attempts. An empty, non-nil list means that there
// is no host to join.
func (n *Node) joinAny(ctx context.Context, seeds []string, others []missing) []attempt {
	targets, failed := n.resolve(ctx, seeds)
	// Try the hosts that were last seen first, because a partition may have cut
	// them off. Draw the other half at random from the rest, which may be a
	// thousand dead hosts.
	others = slices.Clone(others)
	rest := others[min(len(others), rejoinAtOnce/2):]
	rand.Shuffle(len(rest), func(i, j int) { rest[i], rest[j] = rest[j], rest[i] })
	for _, other := range others[:min(len(others), rejoinAtOnce)] {
		targets = append(targets, attempt{at: other.at})
	}

	results := make(chan *attempt, len(targets))
	for _, target := range targets {
		n.outgoing.Go(func() {
			_, err := n.list.Join([]string{target.at.String()})
			if err == nil {
				results <- nil
				return
			}
			target.outcome, target.why = examineFailure(err)
			if target.outcome == foreign {
				n.delegate.inbox.put(event{foreign: &unreadable{from: target.at.Addr(), stream: true}})
			}
			results <- &target
		})
	}
	for range targets {
		one := <-results
		if one == nil {
			return nil
		}
		failed = append(failed, *one)
	}
	if failed == nil {
		failed = []attempt{}
	}
	return failed
}

// answers reports whether a host with this host's ID answers at an address.
func (n *Node) answers(at netip.AddrPort) bool {
	_, err := n.list.Ping(n.self.String(), net.UDPAddrFromAddrPort(at))
	return err == nil
}

// sleepContext waits for d. It reports false if the context ended first.
func sleepContext(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
