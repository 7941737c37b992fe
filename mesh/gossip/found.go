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

// prepareFounding asks what the machine has to say of a mesh that this host is
// about to create. An error means that it cannot be created yet.
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

// foundSettings makes the first record of a mesh that this host creates: its
// configuration, then what the machine says, then what is pinned. If none of them
// says anything about the tunnel key, it is random.
func (n *Node) foundSettings() {
	values := n.cfg.Settings.values()
	if n.cfg.Settings.Tunnel.Key == 0 {
		key, err := settings.Edit(values, []settings.Value{{Key: settings.TunnelKey.Name(), Text: settings.Random}}, randomBits)
		if err == nil { // else the configuration does not go together, and is told so
			values = key
		}
	}
	values = settings.Pinned(values.With(n.founding...), n.cfg.Pins)
	if err := settings.Check(values); err != nil && !n.pins(settings.TunnelKey.Name()) {
		values = values.With(settings.TunnelKey.Is(0)) // that of the tunnels that are there
		n.foundingProblems = append(n.foundingProblems, mesh.Problem{
			What: "the new mesh has no tunnel key: " + err.Error(), Do: "give the mesh a key: gremesh config set tunnel.key random",
		})
	}
	n.settings = settings.Record{Version: 1, Writer: n.self, Values: values}
	for _, problem := range n.foundingProblems {
		n.problems.set("founding "+problem.What, problem, forever)
	}
}

// pins reports whether the configuration of this host fixes a setting.
func (n *Node) pins(key string) bool {
	return slices.ContainsFunc(n.cfg.Pins, func(p settings.Pin) bool { return p.Key == key })
}

func randomBits() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return binary.BigEndian.Uint64(b[:])
}
