package gossip

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/gremesh/gremesh/mesh"
	"github.com/gremesh/gremesh/mesh/lease"
)

// forgetTimeout is the longest time to wait for the answers of live hosts.
const forgetTimeout = 5 * time.Second

// CarriesWith sets the function that reports whether the tunnel to a host
// carries packets although its agent is silent. It must be called before Run.
// The function must not block.
func (n *Node) CarriesWith(carries func(lease.ID) bool) { n.carries = carries }

// objection returns the reason why this host objects to forgetting a host.
func (n *Node) objection(id lease.ID) lease.Objection {
	switch {
	case n.isAlive(id):
		return lease.IsAlive
	case n.carries != nil && n.carries(id):
		return lease.Carries
	}
	return lease.NoObjection
}

// FindForgotten returns the host that Forget would forget, and the reason if
// Forget would refuse.
func (n *Node) FindForgotten(ctx context.Context, host string) (found mesh.Forgotten, err error) {
	var wrong error
	err = n.ask(ctx, func() lease.Effects {
		var r lease.Record
		if r, wrong = n.find(host); wrong == nil {
			found = n.forgotten(r)
			if !found.Already {
				found.Why = n.whyNot(r, mesh.ForgetAgreed)
			}
		}
		return lease.Effects{}
	})
	return found, errors.Join(err, wrong)
}

// Forget forgets a host that is permanently gone. how selects the way: by
// consent of a majority, by force on this host only, or by erasing a bad record
// here. host is the host's ID, at least its first 8 digits, or its name. If
// several hosts have the name, Forget returns an error.
func (n *Node) Forget(ctx context.Context, host string, how mesh.ForgetHow) (done mesh.Forgotten, err error) {
	var r lease.Record
	var wrong error
	waits := false
	if err := n.ask(ctx, func() (out lease.Effects) {
		if r, wrong = n.find(host); wrong != nil {
			return out
		}
		done = n.forgotten(r)
		switch {
		case how == mesh.ForgetPurge:
			out, wrong = n.purge(r)
			return out
		case done.Already:
			return out
		}
		if why := n.whyNot(r, how); why != "" {
			wrong = errors.New(why)
			return out
		}
		if how == mesh.ForgetForced && n.objection(r.Host) == lease.Carries {
			done.Forced = true
			return n.force(r.Host)
		}
		waits = true
		n.forgetting++
		return n.machine.Forget(r.Host)
	}); err != nil || wrong != nil || !waits {
		return done, errors.Join(err, wrong)
	}
	return n.awaitConsent(ctx, r, how, done)
}

// awaitConsent waits until a majority has agreed, a host has objected, or no
// more answers are expected. It waits at most forgetTimeout. If no majority
// agrees and how is ForgetForced, it then removes the host by force. It does
// not do so if a host reports that the host is alive.
func (n *Node) awaitConsent(ctx context.Context, r lease.Record, how mesh.ForgetHow, done mesh.Forgotten) (mesh.Forgotten, error) {
	deadline := time.Now().Add(forgetTimeout)
	var wrong error
	finished := false
	defer func() {
		if !finished {
			n.abortForget(r.Host)
		}
	}()
	for !finished {
		if err := n.ask(ctx, func() (out lease.Effects) {
			now, ok := n.machine.Removing()
			known, _ := n.machine.Table().Get(r.Host)
			switch {
			case known.State == lease.Forgotten || known.State == lease.Released:
				finished = true
			case !ok || now.Host != r.Host: // another operator's removal has replaced this one
				finished, wrong = true, errors.New("another removal began meanwhile: try again")
			case len(now.Against) == 0 && n.answersPending(now) && time.Now().Before(deadline):
				return out
			case how == mesh.ForgetForced && !slices.Contains(objections(now), lease.IsAlive):
				n.machine.Forgo()
				finished, done.Forced = true, true
				out = n.force(r.Host)
			default:
				n.machine.Forgo()
				finished, wrong = true, errors.New(n.notAgreed(r, now))
			}
			n.forgetting--
			return out
		}); err != nil {
			return done, err
		}
		if !finished && !sleepContext(ctx, 20*time.Millisecond) {
			return done, ctx.Err()
		}
	}
	return done, wrong
}

// abortForget ends a removal whose operator has given up waiting. Without it the
// host could still be forgotten later, and removals by force would not be
// completed any more.
func (n *Node) abortForget(host lease.ID) {
	ctx, cancel := context.WithTimeout(context.Background(), tcpTimeout)
	defer cancel()
	if err := n.ask(ctx, func() lease.Effects {
		n.forgetting--
		if now, ok := n.machine.Removing(); ok && now.Host == host {
			n.machine.Forgo()
		}
		return lease.Effects{}
	}); err != nil {
		n.cfg.Log.Debug("end a removal", "err", err)
	}
}

func objections(now lease.Removing) []lease.Objection {
	var all []lease.Objection
	for _, why := range now.Against {
		all = append(all, why)
	}
	return all
}

// answersPending reports whether a live host has not answered yet.
func (n *Node) answersPending(now lease.Removing) bool {
	return slices.ContainsFunc(now.Silent, func(id lease.ID) bool { return id != now.Host && n.isAlive(id) })
}

// notAgreed returns the reason why a host is not forgotten, and the command to
// run.
func (n *Node) notAgreed(r lease.Record, now lease.Removing) string {
	if len(now.Against) > 0 {
		by := slices.MinFunc(slices.Collect(maps.Keys(now.Against)), lease.ID.Compare)
		finder, _ := n.machine.Table().Get(by)
		switch now.Against[by] {
		case lease.IsAlive:
			return fmt.Sprintf("%s is not forgotten: %s finds that it is alive; to take it out of the mesh, run `gremesh leave --release` on it", n.label(r), n.label(finder))
		case lease.Carries:
			return fmt.Sprintf("%s is not forgotten: its agent is silent, but on %s its tunnel carries packets: the host is running. Start its agent (on %s: systemctl start gremesh); "+
				"to forget it all the same: `gremesh forget --force %s`", n.label(r), n.label(finder), n.label(r), n.word(r))
		}
		return fmt.Sprintf("%s is not forgotten: %s says that %s", n.label(r), n.label(finder), now.Against[by])
	}
	return fmt.Sprintf("%s is not forgotten: %d of %d hosts with a lease agree, and a majority must; no answer from %s. "+
		"Start their agents, or forget those that are gone one after the other. "+
		"If no majority is left, run `gremesh forget --force %s` on every host that remains: its help explains the risk",
		n.label(r), len(now.Agreed), len(now.Agreed)+len(now.Silent), n.names(now.Silent), n.word(r))
}

// whyNot returns the reason why this host refuses to forget another host in the
// way how. It returns the empty string if this host knows no reason.
func (n *Node) whyNot(r lease.Record, how mesh.ForgetHow) string {
	switch why := n.objection(r.Host); {
	case r.Host == n.self:
		return fmt.Sprintf("%s is this host: to take it out of the mesh, use `gremesh leave --release`", n.label(r))
	case why == lease.IsAlive:
		return fmt.Sprintf("%s is alive at %s: to take it out of the mesh, use `gremesh leave --release` there", n.label(r), n.members[r.Host].underlay.Addr())
	case why == lease.Carries && how != mesh.ForgetForced:
		return fmt.Sprintf("%s's agent is silent, but its tunnel carries packets: the host is running. Start its agent (on %s: systemctl start gremesh); "+
			"to forget it all the same: `gremesh forget --force %s`", n.label(r), n.label(r), n.word(r))
	}
	return ""
}

// purge erases the record of a host and all other data about it. It refuses to
// purge this host or a live host. It also refuses a host that this host has met
// and that may still have a right to a subnet.
func (n *Node) purge(r lease.Record) (lease.Effects, error) {
	ended := r.State == lease.Released || r.State == lease.Forgotten
	seen := n.sightings[r.Host]
	switch {
	case r.Host == n.self:
		return lease.Effects{}, fmt.Errorf("%s is this host: to give it another identity, run `gremesh reset-identity`", n.label(r))
	case n.isAlive(r.Host):
		return lease.Effects{}, errors.New(n.whyNot(r, mesh.ForgetPurge))
	case !ended && seen != nil && seen.Met:
		return lease.Effects{}, fmt.Errorf("this host has met %s, and its record is %s: forget it first, with `gremesh forget %s`", n.label(r), r.State, n.word(r))
	}
	delete(n.sightings, r.Host)
	delete(n.receivedOffers, r.Host)
	n.delegate.lives.Delete(r.Host)
	n.problems.clear(badRecordKey + r.Host.String())
	n.dirty = true
	return n.machine.Purge(r.Host), nil
}

// forgotten returns the data that an operator sees before the host is
// forgotten.
func (n *Node) forgotten(r lease.Record) mesh.Forgotten {
	f := mesh.Forgotten{
		ID: r.Host.String(), Name: r.Name, Underlay: r.Underlay.Addr(), Subnet: r.Subnet,
		Already: r.State == lease.Released || r.State == lease.Forgotten, Forced: n.isForced(r.Host),
	}
	if seen := n.sightings[r.Host]; seen != nil && seen.Met {
		f.LastSeen = seen.Seen
	}
	return f
}

// find returns the record of a host. It prefers hosts that have a lease to
// hosts that had one. Of several hosts that had one, it returns the host that
// was last seen. It returns an error if it finds no host, or several that have
// a lease.
func (n *Node) find(host string) (lease.Record, error) {
	var found, ended []lease.Record
	for r := range n.machine.Table().All() {
		if r.Name != host && r.Host.String() != host && (len(host) < 8 || !strings.HasPrefix(r.Host.String(), host)) {
			continue
		}
		if r.State == lease.Released || r.State == lease.Forgotten {
			ended = append(ended, r)
		} else {
			found = append(found, r)
		}
	}
	hasLease := len(found) > 0
	if !hasLease {
		found = ended
	}
	if len(found) == 0 {
		return lease.Record{}, fmt.Errorf("no host %q has or had a lease; `gremesh leases` lists those that have", host)
	}
	if len(found) > 1 && hasLease {
		var all []string
		for _, r := range found {
			all = append(all, fmt.Sprintf("%s (%s) at %s", r.Name, short(r.Host), r.Underlay.Addr()))
		}
		slices.Sort(all)
		return lease.Record{}, fmt.Errorf("%d hosts match %q: %s; give the ID in parentheses", len(found), host, strings.Join(all, ", "))
	}
	return slices.MaxFunc(found, func(a, b lease.Record) int { return n.lastSeen(a.Host).Compare(n.lastSeen(b.Host)) }), nil
}

func (n *Node) lastSeen(id lease.ID) time.Time {
	if one := n.sightings[id]; one != nil {
		return one.Seen
	}
	return time.Time{}
}
