package mesh

import (
	"fmt"

	"github.com/gremesh/gremesh/mesh/settings"
	"github.com/gremesh/gremesh/ovsdb"
)

// Found returns the mesh settings that match the existing tunnels on this
// host's bridge. It is used when this host creates a mesh. If there are
// manually created tunnels, the mesh takes their key, or no key if they have
// none. Then `gremesh adopt` takes them over without an interruption. If their
// keys differ, the mesh has no key, and Found returns a problem. Without such
// tunnels it returns nothing.
//
// A port from the output of `gremesh plan` counts as manually created. It has
// gremesh's mark, but not the ID of a peer.
func Found(have ovsdb.State) ([]settings.Value, []Problem) {
	var first *ovsdb.Port
	for i := range have.Ports {
		port := &have.Ports[i]
		if port.Bridge != have.Bridge.Name || !port.Remote.IsValid() || !ValidTunnelType(port.Type) || port.Ours && port.Peer.ID != "" {
			continue
		}
		raw, unreadable := port.Unreadable["options:key"]
		switch {
		case unreadable:
			return settings.Values{settings.TunnelKey.Is(0)}, []Problem{{
				What: fmt.Sprintf("the new mesh has no tunnel key: port %s on %s, which was made by hand, has the key %v, which a mesh cannot have", port.Name, port.Bridge, raw),
				Do:   "give the mesh a key: gremesh config set tunnel.key random; then delete the ports that were made by hand",
			}}
		case first == nil:
			first = port
		case first.Key != port.Key:
			return settings.Values{settings.TunnelKey.Is(0)}, []Problem{{
				What: fmt.Sprintf("the new mesh has no tunnel key: the ports on %s that were made by hand have different keys (%s: %d, %s: %d; 0 is none)",
					port.Bridge, first.Name, first.Key, port.Name, port.Key),
				Do: "give the mesh the key of the ports that it should adopt: gremesh config set tunnel.key NUMBER",
			}}
		}
	}
	if first == nil {
		return nil, nil
	}
	return settings.Values{settings.TunnelKey.Is(first.Key)}, nil
}
