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

// knownSettings returns the record that a host has when its agent starts. A mesh
// that is older than the record has the settings of the configuration, which had
// to be the same on all hosts; so all make the same record. A host that is of no
// mesh, or has lost its state, has none: it learns it from the others.
func knownSettings(st state, cfg Config) (settings.Record, error) {
	switch {
	case st.Settings != nil:
		space := lease.Space{Pool: settings.Pool.Of(st.Settings.Values), Bits: settings.Prefix.Of(st.Settings.Values)}
		if differ := differences(cfg.Settings.Space, space); len(differ) > 0 {
			return settings.Record{}, fmt.Errorf("the configuration and the mesh do not go together: %s (there: in the mesh). "+
				"The %w, so correct the configuration; for another pool, make a new mesh: `gremesh leave --release` on every host first",
				strings.Join(differ, ", "), errFixedSpace)
		}
		return *st.Settings, nil
	case st.Mesh != "":
		return settings.Record{Values: cfg.Settings.values()}, nil
	}
	return settings.Record{}, nil
}

var errFixedSpace = errors.New("pool and the prefix of a mesh cannot change")

func recordOrNil(r settings.Record) *settings.Record {
	if r.IsZero() {
		return nil
	}
	return &r
}

// settingsToTell is what may be told to others: the record that is on disk.
func (n *Node) settingsToTell() *settings.Record { return recordOrNil(n.keptSettings) }

// learnSettings takes a record that another host of this mesh has sent.
func (n *Node) learnSettings(got *settings.Record) {
	if got == nil {
		return
	}
	is, err := settings.Accept(n.settings, *got)
	if err != nil {
		n.cfg.Log.Warn("mesh settings are dropped", "err", err)
		return
	}
	if is.Compare(n.settings) != 0 {
		n.changeSettings(is)
	}
}

// changeSettings replaces the record. It counts once it is on disk.
func (n *Node) changeSettings(is settings.Record) {
	if !n.settings.IsZero() {
		n.cfg.Log.Info("the mesh settings have changed", "keys", strings.Join(changedKeys(n.settings.Values, is.Values), ","),
			"version", is.Version, "writer", is.Writer)
	}
	n.settings, n.dirty = is, true
}

// changedKeys names the keys whose values differ. The values stay out of the log:
// one of them is the tunnel key.
func changedKeys(was, is settings.Values) []string {
	var keys []string
	for _, v := range is {
		if text, ok := was.Get(v.Key); !ok || text != v.Text {
			keys = append(keys, v.Key)
		}
	}
	for _, v := range was {
		if _, ok := is.Get(v.Key); !ok {
			keys = append(keys, v.Key)
		}
	}
	return keys
}

// tellSettings spreads a record that is new on disk: to 64 hosts at once, by
// gossip to the others. What is lost is repaired by the comparison of tables.
func (n *Node) tellSettings() {
	digest := n.keptSettings.Digest()
	if n.keptSettings.IsZero() || digest == n.toldSettings {
		return
	}
	n.toldSettings = digest
	p := n.sign(packet{Mesh: n.mesh, Settings: n.settingsToTell()})
	if message := encode(p); len(message) <= datagram {
		n.delegate.news.QueueBroadcast(settingsNews{message})
	}
	left := directly
	for id, m := range n.members {
		if left--; left < 0 {
			break
		}
		n.sendPacket(id, m.underlay, p)
	}
}

// settingsDiffer reports whether another host, which has told a digest, has other
// settings. 0 is no digest: it has nothing to compare.
func (n *Node) settingsDiffer(digest uint64) bool {
	return digest != 0 && !n.keptSettings.IsZero() && digest != n.keptSettings.Digest()
}

// settingsProblems are those of a host whose configuration differs from the mesh,
// or whose agent is too old to read a value.
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

// settingsNews is a record on its way through the mesh by gossip. A newer one
// replaces it in the queue.
type settingsNews struct{ message []byte }

// Name implements memberlist.NamedBroadcast.
func (settingsNews) Name() string { return "settings" }

// Invalidates implements memberlist.Broadcast.
func (settingsNews) Invalidates(memberlist.Broadcast) bool { return false }

// Message implements memberlist.Broadcast.
func (n settingsNews) Message() []byte { return n.message }

// Finished implements memberlist.Broadcast.
func (settingsNews) Finished() {}
