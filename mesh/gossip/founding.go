package gossip

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/gremesh/gremesh/mesh"
	"github.com/gremesh/gremesh/mesh/settings"
)

// prepareFounding calls Config.Found for a mesh that this host is about to
// create. An error means that the mesh cannot be created yet.
func (n *Node) prepareFounding(ctx context.Context) error {
	if n.cfg.Found == nil || n.View().Mesh != "" {
		return nil
	}
	values, problems, err := n.cfg.Found(ctx)
	if err != nil {
		return fmt.Errorf("create a mesh: %w", err)
	}
	n.founding = values
	n.foundingProblems = problems
	return nil
}

// foundSettings writes the first settings record of a mesh that this host
// creates. It starts with the configuration. The result of Config.Found
// overrides it, and the pinned settings override both. If none of them sets a
// tunnel key, the key is random.
func (n *Node) foundSettings() {
	values := n.cfg.Settings.values()
	if n.cfg.Settings.Tunnel.Key == 0 {
		key, err := settings.Edit(values, []settings.Value{{Key: settings.TunnelKey.Name(), Text: settings.Random}}, randomBits)
		if err == nil { // otherwise the settings contradict each other, which Check reports below
			values = key
		}
	}
	values = settings.Pinned(values.With(n.founding...), n.cfg.Pins)
	if err := settings.Check(values); err != nil && !n.pins(settings.TunnelKey.Name()) {
		values = values.With(settings.TunnelKey.Is(0)) // the key of the existing tunnels does not fit
		n.foundingProblems = append(n.foundingProblems, mesh.Problem{
			What: "the new mesh has no tunnel key: " + err.Error(), Do: "give the mesh a key: gremesh config set tunnel.key random",
		})
	}
	n.settings = settings.Record{Version: 1, Writer: n.self, Values: values}
	for _, problem := range n.foundingProblems {
		n.problems.set("founding "+problem.What, problem, forever)
	}
}

// pins reports whether this host's configuration pins a setting.
func (n *Node) pins(key string) bool {
	return slices.ContainsFunc(n.cfg.Pins, func(p settings.Pin) bool { return p.Key == key })
}

// randomBits returns 64 random bits.
func randomBits() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return binary.BigEndian.Uint64(b[:])
}
