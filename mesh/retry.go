package mesh

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"sync"
	"time"

	"github.com/gremesh/gremesh/mesh/lease"
)

const (
	// retryTold is how long this host asks the peer to try the pair again.
	// Gossip repeats lost messages every second.
	retryTold = 5 * time.Second
	// retryTimeout bounds how long Retry waits for the result.
	retryTimeout = 15 * time.Second
	retryLook    = 50 * time.Millisecond
)

// retries holds the pairs for which an operator of this host wants the first
// type tried at once.
type retries struct {
	wake chan struct{} // capacity 1

	mu    sync.Mutex
	until map[lease.ID]time.Time
}

func newRetries() *retries {
	return &retries{wake: make(chan struct{}, 1), until: make(map[lease.ID]time.Time)}
}

func (r *retries) ask(now time.Time, peer lease.ID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.until[peer] = now.Add(retryTold)
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// begun ends the request for a pair because its trial has started.
func (r *retries) begun(peer lease.ID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.until, peer)
}

// due returns the peers with a current request, and the time at which the first
// request ends (zero: there is none).
func (r *retries) due(now time.Time) (peers map[lease.ID]bool, again time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	maps.DeleteFunc(r.until, func(_ lease.ID, until time.Time) bool { return !now.Before(until) })
	peers = make(map[lease.ID]bool)
	for peer, until := range r.until {
		peers[peer] = true
		again = sooner(again, until)
	}
	return peers, again
}

// Retry makes this host and a peer try the first tunnel type again at once. The
// argument host is the name or ID of the peer. Retry returns the type that both
// ends use afterwards. If that is not the first type, it returns an error as
// well. If the first type does not get through, this takes 3 s. This host need
// not be the one that decides for the pair.
func (l *Loop) Retry(ctx context.Context, host string) (kind string, err error) {
	ctx, cancel := context.WithTimeout(ctx, retryTimeout)
	defer cancel()
	tunnel := l.cfg.in(l.cfg.Membership.View()).Tunnel
	first := tunnel.Type
	peer, err := l.pairOf(host)
	if err != nil {
		return "", err
	}
	if len(tunnel.Fallback) == 0 {
		return "", fmt.Errorf("no pair can have moved from %s to another type: tunnel.fallback is empty", first)
	}
	if kind, up := l.inUse(peer.ID); kind == first && up {
		return kind, nil
	}
	l.retries.ask(time.Now(), peer.ID)
	tried := false
	for {
		kind, up := l.inUse(peer.ID)
		if kind == first && !tried {
			tried = true
			l.retries.begun(peer.ID)
		}
		switch {
		case kind == first && up:
			return kind, nil
		case tried && kind != first && kind != "":
			return kind, fmt.Errorf("%s does not get through between here and %s (%s): the pair uses %s again", first, peer.Name, peer.Underlay, kind)
		}
		if !wait(ctx, retryLook) {
			if !tried {
				return kind, fmt.Errorf("%s was not tried: %s, which decides for the pair, does not do so when it is asked; its agent may be of an earlier version", first, peer.Name)
			}
			return kind, fmt.Errorf("nothing gets through between here and %s (%s) so far: `gremesh status` says what is tried", peer.Name, peer.Underlay)
		}
	}
}

// pairOf returns the peer with that name or ID. It is an error if this host
// should have no tunnel to it.
func (l *Loop) pairOf(host string) (Host, error) {
	var found []Host
	view := l.cfg.Membership.View()
	for _, p := range view.Peers {
		if p.Name == host || p.ID.String() == host {
			found = append(found, p)
		}
	}
	switch {
	case len(found) == 0:
		return Host{}, fmt.Errorf("there is no other host %q; `gremesh status` lists them", host)
	case len(found) > 1:
		return Host{}, fmt.Errorf("%d hosts are named %q: give the ID, which `gremesh status -o json` shows", len(found), host)
	case found[0].Liveness != Alive:
		return Host{}, fmt.Errorf("the agent of %s does not answer", host)
	case !view.Self.Subnet.IsValid() || view.Self.Cut || !wantsTunnel(&found[0], nil):
		return Host{}, fmt.Errorf("no tunnel is wanted between this host and %s, because one of the two has no subnet", host)
	}
	return found[0], nil
}

// inUse returns the type of the port to a peer in the last pass, and whether
// its BFD session is up.
func (l *Loop) inUse(peer lease.ID) (kind string, up bool) {
	port, is := l.last.Load().port(peer.String())
	if !is {
		return "", false
	}
	return port.Type, port.BFD.State == "up"
}

func (c Control) postRetry(w http.ResponseWriter, r *http.Request) {
	kind, err := c.Loop.Retry(r.Context(), r.URL.Query().Get("host"))
	if err != nil {
		refuse(w, http.StatusConflict, err.Error())
		return
	}
	answer(w, http.StatusOK, map[string]string{"type": kind})
}
