package gossip

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/gremesh/gremesh/mesh"
	"github.com/gremesh/gremesh/mesh/lease"
)

// peerHistory holds the direct observations of this host about another host. It
// is kept across restarts.
type peerHistory struct {
	Subnet netip.Prefix `json:"subnet,omitzero"`
	Since  time.Time    `json:"since"` // when this host first saw that the other host holds Subnet
	Seen   time.Time    `json:"seen"`  // when the other host was last alive
	// Silent is the time for which this host was running and the other was not
	// alive. Only this time counts for the lease's time to live. Neither a jump
	// of the clock nor the time when this host was off can end a lease.
	Silent time.Duration `json:"silent,omitzero"`
	// Path and MTU are the last known values of the fields of mesh.Host with
	// these names, in bytes. They apply until new values are known. Without
	// them, each host would start Docker with another MTU after a power failure
	// of the whole site.
	Path int `json:"path,omitzero"`
	MTU  int `json:"mtu,omitzero"`
	// Direct is the last known value of the field of mesh.Host with this name.
	// It stays valid for a host that is silent, or that this host has not met
	// since a restart.
	Direct netip.Prefix `json:"direct,omitzero"`

	// Life is the life (see meta) of the process that last answered a challenge
	// of this host. Met reports whether any process of the host ever answered.
	Life uint64 `json:"life,omitzero"`
	Met  bool   `json:"met,omitzero"`
	// LastOffer is the number of the last offer accepted from the host.
	LastOffer uint64 `json:"paired,omitzero"`
	// Forced reports whether this host's operator removed the host by force.
	Forced bool `json:"forced,omitzero"`

	missed time.Time // Silent includes the time until then; zero: nothing was counted in this process
}

// sightings holds what this host has observed of each peer.
type sightings map[lease.ID]*peerHistory

// get returns the history of a host. It creates an empty one if there is none.
func (s sightings) get(id lease.ID) *peerHistory {
	if s[id] == nil {
		now := time.Now()
		s[id] = &peerHistory{Since: now, Seen: now}
	}
	return s[id]
}

// lost records that a host is no longer alive.
func (s sightings) lost(id lease.ID) {
	one := s.get(id)
	one.Seen, one.missed = time.Now(), time.Now()
}

// update records the subnet of a host and whether the host is alive now.
func (s sightings) update(r lease.Record, alive bool) *peerHistory {
	one, now := s.get(r.Host), time.Now()
	if one.Subnet != r.Subnet {
		one.Subnet, one.Since = r.Subnet, now
	}
	if alive {
		one.Seen, one.Silent, one.missed = now, 0, time.Time{}
		return one
	}
	if !one.missed.IsZero() {
		one.Silent += now.Sub(one.missed)
	}
	one.missed = now
	return one
}

// expire tells the lease machine which leases have expired and which hosts were
// removed by force here.
func (n *Node) expire() lease.Effects {
	expired := make(map[lease.ID]bool)
	for r := range n.machine.Table().All() {
		if r.Host == n.self || r.State == lease.Released || r.State == lease.Forgotten {
			continue
		}
		one := n.sightings.update(r, n.isAlive(r.Host))
		if n.cfg.TTL > 0 && one.Silent > n.cfg.TTL {
			expired[r.Host] = true
		}
	}
	for id := range expired {
		if !n.machine.Expired(id) {
			r, _ := n.machine.Table().Get(id)
			n.cfg.Log.Info("a lease has expired", "peer", r.Name, "host", id, "subnet", r.Subnet, "silent", n.sightings.get(id).Silent)
		}
	}
	byForce := make(map[lease.ID]bool)
	for _, id := range n.forcedHosts() {
		byForce[id] = true
	}
	out := n.machine.Expire(expired)
	out.Add(n.machine.Force(byForce))
	return out
}

// leases lists all subnets that are not free, sorted by subnet.
func (n *Node) leases() []mesh.Lease {
	table := n.machine.Table()
	lost := make(map[lease.ID]bool)
	for _, c := range table.Conflicts(n.hasMet) {
		lost[c.Loser.Host] = true
	}
	list := []mesh.Lease{}
	for r := range table.All() {
		alive := n.isAlive(r.Host) || r.Host == n.self
		seen := n.sightings.update(r, alive)
		l := mesh.Lease{
			Subnet: r.Subnet, ID: r.Host.String(), Name: r.Name, Underlay: r.Underlay.Addr(), State: r.State.String(),
			Host: string(liveness(r, alive)), Since: seen.Since, LastSeen: seen.Seen, Lost: lost[r.Host],
		}
		switch {
		case r.State == lease.Released || r.State == lease.Forgotten:
			continue
		case n.machine.Expired(r.Host):
			l.State = "expired"
		case n.isForced(r.Host):
			l.State = "removed"
		case r.Next.IsValid():
			l.State = "renumbering"
		}
		list = append(list, l)
	}
	slices.SortFunc(list, func(a, b mesh.Lease) int { return a.Subnet.Addr().Compare(b.Subnet.Addr()) })
	return list
}

// exhausted returns the text that says that no subnet is free and lists the
// failed hosts that still hold one.
func (n *Node) exhausted() string {
	pool := n.cfg.Settings.Pool
	var failed []string
	for _, l := range n.leases() {
		if l.Host == string(mesh.Failed) {
			failed = append(failed, fmt.Sprintf("%s (%s, silent since %s)", l.Name, l.Subnet, l.LastSeen.UTC().Format(time.RFC3339)))
		}
	}
	text := fmt.Sprintf("the pool is exhausted: all %d subnets of %s (prefix %d) are taken, %d of them by hosts that have failed",
		pool.Len(), pool.Prefix, pool.Bits, len(failed))
	for i, one := range failed {
		if i == 5 {
			return fmt.Sprintf("%s and %d more", text, len(failed)-i)
		}
		text += map[bool]string{true: ": ", false: ", "}[i == 0] + one
	}
	return text
}
