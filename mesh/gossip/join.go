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
	"strings"
	"time"

	"github.com/gremesh/gremesh/mesh"
	"github.com/gremesh/gremesh/mesh/lease"
)

// RefusedError means that this host and the mesh of its seeds do not go
// together: a setting or the gossip key differs, or it is another mesh.
type RefusedError struct{ Why error }

// Error implements error.
func (e *RefusedError) Error() string {
	return fmt.Sprintf("refusing to join: %v; make the settings the same on all hosts of the mesh", e.Why)
}

// TwinError means that another host with this host's ID is alive.
type TwinError struct {
	ID   lease.ID
	Also netip.AddrPort
}

// Error implements error.
func (e *TwinError) Error() string {
	return fmt.Sprintf("refusing to take part: host ID %s is in use at %s; was this disk cloned? "+
		"Run `gremesh reset-identity` on the copy, which makes it a host of its own", e.ID, e.Also.Addr())
}

const (
	firstBackoff = 20 * time.Millisecond // the seed may be starting, too
	earlyBackoff = 80 * time.Millisecond // at most, as long as that is likely
	earlyFor     = 3 * time.Second       // from this host's start
	lastBackoff  = 2 * time.Second
	rejoinEvery  = 3 * time.Second
	rejoinAtOnce = 8
	seedsEvery   = 30 * time.Second
)

// meet joins the seeds and the hosts known from before, and then, for ever,
// those that are missing: two halves of a mesh find each other again.
func (n *Node) meet(ctx context.Context) error {
	backoff := firstBackoff
	for {
		err := n.joinAny(ctx, n.cfg.Seeds, *n.absent.Load())
		if also := n.delegate.twin.Load(); also != nil && n.answers(*also) {
			// It can't ask whether this one lives once it has ended. The mesh is
			// that which was joined, or none: nobody looks at it here.
			n.sendReliably(n.self, *also, encode(packet{Twin: n.cfg.Underlay, Uptime: time.Since(n.started)}))
			return &TwinError{ID: n.self, Also: *also}
		}
		if err == nil {
			break
		}
		if space := n.delegate.other.Load(); space != nil {
			return &SpaceError{Space: *space}
		}
		if why := refusalIn(err); why != nil {
			return &RefusedError{Why: why}
		}
		if n.mayStartAlone() {
			failed := n.prepareFounding(ctx)
			if failed == nil {
				break
			}
			err = failed
		}
		why := plainly(err)
		if last := n.silence.Swap(&why); last == nil || *last != why {
			n.cfg.Log.Warn("no host could be joined yet", "err", why)
		}
		if !wait(ctx, backoff) {
			return nil
		}
		if backoff *= 2; time.Since(n.started) < earlyFor {
			backoff = min(backoff, earlyBackoff)
		}
		backoff = min(backoff, lastBackoff)
	}
	n.silence.Store(nil)
	close(n.met)

	// A second round with the seeds repairs what gossip lost in the first.
	asked := time.Now()
	seeds := n.cfg.Seeds
	tick := time.NewTicker(rejoinEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case at := <-n.hails:
			if err := n.joinAny(ctx, nil, []missing{{at: at}}); err != nil {
				n.cfg.Log.Debug("a host that called can't be joined", "underlay", at, "err", err)
			}
			continue
		case <-tick.C:
		}
		absent := *n.absent.Load()
		switch {
		case n.alone():
			seeds = n.cfg.Seeds
		case time.Since(asked) > seedsEvery:
			asked, seeds = time.Now(), n.silentSeeds(ctx)
		}
		if len(seeds) == 0 && len(absent) == 0 {
			continue
		}
		if err := n.joinAny(ctx, seeds, absent); err != nil {
			n.cfg.Log.Debug("missing hosts stay missing", "err", err)
		}
		seeds = nil
	}
}

// mayStartAlone reports whether this host needs no one to go on: it founds the
// mesh, or it holds a lease from before.
func (n *Node) mayStartAlone() bool { return n.cfg.Bootstrap || n.View().Self.Subnet.IsValid() }

// silentSeeds are those that are not alive here. Two halves of a mesh that have
// forgotten each other find each other again by them alone.
func (n *Node) silentSeeds(ctx context.Context) []string {
	alive := make(map[netip.Addr]bool)
	for _, p := range n.View().Peers {
		alive[p.Underlay] = alive[p.Underlay] || p.Liveness == mesh.Alive
	}
	var silent []string
	found, _ := n.resolve(ctx, n.cfg.Seeds) // a name that is unknown now may be known the next time
	for _, at := range found {
		if !alive[at.Addr()] {
			silent = append(silent, at.String())
		}
	}
	return silent
}

// resolve turns host or host:port into addresses of the underlay's family; this
// host's own is left out.
func (n *Node) resolve(ctx context.Context, seeds []string) ([]netip.AddrPort, error) {
	var found []netip.AddrPort
	var errs []error
	network := "ip4"
	if n.cfg.Underlay.Addr().Is6() {
		network = "ip6"
	}
	for _, seed := range seeds {
		host, port := seed, n.cfg.Underlay.Port()
		if h, p, err := net.SplitHostPort(seed); err == nil {
			number, err := strconv.ParseUint(p, 10, 16)
			if err != nil {
				errs = append(errs, fmt.Errorf("seed %s: %w", seed, err))
				continue
			}
			host, port = h, uint16(number)
		}
		addrs, err := net.DefaultResolver.LookupNetIP(ctx, network, host)
		if err != nil {
			errs = append(errs, fmt.Errorf("seed %s: %w", seed, err))
		}
		for _, addr := range addrs {
			if at := netip.AddrPortFrom(addr.Unmap(), port); at != n.cfg.Underlay {
				found = append(found, at)
			}
		}
	}
	return found, errors.Join(errs...)
}

// joinAny exchanges state with the seeds and with some of the given hosts. It
// returns nil as soon as one of them could be joined; the rest goes on, and is
// waited for when Run returns.
func (n *Node) joinAny(ctx context.Context, seeds []string, others []missing) error {
	addresses, err := n.resolve(ctx, seeds)
	// Half of those tried are the last seen, which a partition took away; the
	// other half are drawn from the rest, which may be a thousand dead hosts.
	others = slices.Clone(others)
	rest := others[min(len(others), rejoinAtOnce/2):]
	rand.Shuffle(len(rest), func(i, j int) { rest[i], rest[j] = rest[j], rest[i] })
	for _, other := range others[:min(len(others), rejoinAtOnce)] {
		addresses = append(addresses, other.at)
	}

	results := make(chan error, len(addresses))
	for _, address := range addresses {
		n.outgoing.Go(func() {
			_, err := n.list.Join([]string{address.String()})
			results <- err
		})
	}
	for range addresses {
		failed := <-results
		if failed == nil {
			return nil
		}
		err = errors.Join(err, failed)
	}
	if err == nil {
		err = errors.New("there is no other host to join (mesh.join)")
	}
	return err
}

// answers reports whether a host with this host's ID is alive at an address.
func (n *Node) answers(at netip.AddrPort) bool {
	_, err := n.list.Ping(n.self.String(), net.UDPAddrFromAddrPort(at))
	return err == nil
}

// plainly is an error on one line, without the bullets of memberlist's.
func plainly(err error) string {
	var parts []string
	for line := range strings.Lines(err.Error()) {
		line = strings.TrimPrefix(strings.TrimSpace(line), "* ")
		if line != "" && !strings.HasSuffix(line, "occurred:") && !slices.Contains(parts, line) {
			parts = append(parts, line)
		}
	}
	return strings.Join(parts, "; ")
}

// refusalIn finds in what memberlist says of a failed join that the two hosts
// do not go together. It passes on the text of an error, not the error.
func refusalIn(err error) error {
	text := err.Error()
	if i := strings.Index(text, refusedMark); i >= 0 {
		line, _, _ := strings.Cut(text[i+len(refusedMark):], "\n")
		return errors.New(line)
	}
	if foreignKey(text) {
		return errors.New("the seed's gossip is encrypted with another key, or not at all (mesh.key_file, mesh.insecure)")
	}
	return nil
}

// foreignKey reports whether memberlist's words mean that keys differ.
func foreignKey(text string) bool {
	text = strings.ToLower(text)
	for _, words := range []string{"no installed keys could decrypt", "encryption is not configured", "is not encrypted"} {
		if strings.Contains(text, words) {
			return true
		}
	}
	return false
}

// wait reports whether the time passed before the context ended.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
