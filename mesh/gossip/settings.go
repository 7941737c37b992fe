package gossip

import (
	"errors"
	"fmt"
	"strings"

	"github.com/hashicorp/memberlist"

	"github.com/gremesh/gremesh/mesh"
	"github.com/gremesh/gremesh/mesh/lease"
	"github.com/gremesh/gremesh/mesh/settings"
)

// knownSettings returns the settings record with which the agent starts.
//
// A mesh may be older than the record of its settings. Then each host makes the
// record from its configuration. All these records are equal, because such a
// mesh required the same configuration on all hosts.
//
// A host without a mesh, or without its state, starts with the zero record and
// learns the settings from other hosts.
//
// knownSettings returns an error if the pool or the prefix of the configuration
// differs from that of the record.
func knownSettings(st savedState, cfg Config) (settings.Record, error) {
	switch {
	case st.Settings != nil:
		pool := lease.Pool{Prefix: settings.Pool.Of(st.Settings.Values), Bits: settings.Prefix.Of(st.Settings.Values)}
		if differ := differences(cfg.Settings.Pool, pool); len(differ) > 0 {
			return settings.Record{}, fmt.Errorf("the configuration and the mesh do not go together: %s (there: in the mesh). "+
				"The %w, so correct the configuration; for another pool, make a new mesh: `gremesh leave --release` on every host first",
				strings.Join(differ, ", "), errFixedPool)
		}
		return *st.Settings, nil
	case st.Mesh != "":
		return settings.Record{Values: cfg.Settings.values()}, nil
	}
	return settings.Record{}, nil
}

var errFixedPool = errors.New("pool and the prefix of a mesh cannot change")

// recordOrNil returns nil for the zero record.
func recordOrNil(r settings.Record) *settings.Record {
	if r.IsZero() {
		return nil
	}
	return &r
}

// settingsToPublish returns the record that may be sent to other hosts: the one
// on disk.
func (n *Node) settingsToPublish() *settings.Record { return recordOrNil(n.persistedSettings) }

// learnSettings handles a record that another host of this mesh has sent.
func (n *Node) learnSettings(got *settings.Record) {
	if got == nil {
		return
	}
	merged, err := settings.Accept(n.settings, *got)
	if err != nil {
		n.cfg.Log.Warn("mesh settings are dropped", "err", err)
		return
	}
	if merged.Compare(n.settings) != 0 {
		n.changeSettings(merged)
	}
}

// changeSettings replaces the record. The new record takes effect once it is on
// disk.
func (n *Node) changeSettings(next settings.Record) {
	if !n.settings.IsZero() {
		n.cfg.Log.Info("the mesh settings have changed", "keys", strings.Join(changedKeys(n.settings.Values, next.Values), ","),
			"version", next.Version, "writer", next.Writer)
	}
	n.settings, n.dirty = next, true
}

// changedKeys returns the keys whose values differ. It returns no values,
// because its result goes to the log and one of the values is the tunnel key.
func changedKeys(prev, cur settings.Values) []string {
	var keys []string
	for _, v := range cur {
		if text, ok := prev.Get(v.Key); !ok || text != v.Text {
			keys = append(keys, v.Key)
		}
	}
	for _, v := range prev {
		if _, ok := cur.Get(v.Key); !ok {
			keys = append(keys, v.Key)
		}
	}
	return keys
}

// publishSettings broadcasts a record that is new on disk. It sends the record
// to 64 hosts at once. The other hosts get it by gossip, if it fits into one
// datagram. The comparison of tables repairs lost messages.
func (n *Node) publishSettings() {
	digest := n.persistedSettings.Digest()
	if n.persistedSettings.IsZero() || digest == n.publishedSettings {
		return
	}
	n.publishedSettings = digest
	p := n.sign(packet{Mesh: n.mesh, Settings: n.settingsToPublish()})
	if message := encode(p); len(message) <= datagram {
		n.delegate.news.QueueBroadcast(settingsNews{message})
	}
	left := directFanout
	for id, m := range n.members {
		if left--; left < 0 {
			break
		}
		n.sendPacket(id, m.underlay, p)
	}
}

// settingsDiffer reports whether another host sent a digest that differs from
// the digest of this host's settings on disk. The digest 0 means that the other
// host has nothing to compare. If this host has no settings, the result is
// false.
func (n *Node) settingsDiffer(digest uint64) bool {
	return digest != 0 && !n.persistedSettings.IsZero() && digest != n.persistedSettings.Digest()
}

// settingsProblems returns a problem for each pinned value that differs from
// the mesh. It also returns one for each value that this version of the agent
// cannot read.
func settingsProblems(values settings.Values, pins []settings.Pin) []mesh.Problem {
	if len(values) == 0 {
		return nil
	}
	var problems []mesh.Problem
	for _, pin := range settings.Differing(values, pins) {
		problems = append(problems, mesh.Problem{
			What: fmt.Sprintf("%s; the mesh has %s: tunnels to hosts that have the mesh's value may carry nothing", pin, settings.Text(values, pin.Key)),
			Do: fmt.Sprintf("remove %s from %s and restart the agent; or give the whole mesh this host's value: gremesh config set %s %s",
				pin.Key, pin.Where, pin.Key, pin.Text),
		})
	}
	for _, v := range settings.Unreadable(values) {
		problems = append(problems, mesh.Problem{
			What: fmt.Sprintf("the mesh has %s %s, which this version of gremesh does not know: the default %s counts here",
				v.Key, v.Text, settings.Text(nil, v.Key)),
			Do: "upgrade gremesh on this host",
		})
	}
	return problems
}

// settingsNews is a broadcast of a settings record. A newer broadcast replaces
// it in memberlist's queue.
type settingsNews struct{ message []byte }

// Name implements memberlist.NamedBroadcast.
func (settingsNews) Name() string { return "settings" }

// Invalidates implements memberlist.Broadcast.
func (settingsNews) Invalidates(memberlist.Broadcast) bool { return false }

// Message implements memberlist.Broadcast.
func (n settingsNews) Message() []byte { return n.message }

// Finished implements memberlist.Broadcast.
func (settingsNews) Finished() {}
