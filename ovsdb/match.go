package ovsdb

// matchPorts returns the port of gremesh for each desired tunnel, by the tunnel's
// name. That is the port of the same name, on any bridge. If there is none, it
// is a port that was adopted for the peer. Peers are identified by their IDs,
// so an adopted port stays when its peer gets another subnet or underlay
// address.
//
// An adopted port that has the name of another tunnel becomes that other
// tunnel. The tunnel to its own peer is then created with its own name.
func matchPorts(want Spec, have State) map[string]Port {
	wanted := make(map[string]bool, len(want.Tunnels))
	for _, t := range want.Tunnels {
		wanted[t.Name] = true
	}
	named, adopted := make(map[string]Port), make(map[string]Port)
	for _, p := range have.Ports {
		if !p.Ours {
			continue
		}
		named[p.Name] = p
		if _, twice := adopted[p.Peer.ID]; !twice && p.Adopted && p.Bridge == want.Bridge && !wanted[p.Name] {
			adopted[p.Peer.ID] = p
		}
	}
	ports := make(map[string]Port, len(want.Tunnels))
	for _, t := range want.Tunnels {
		if p, ok := named[t.Name]; ok {
			ports[t.Name] = p
		} else if p, ok := adopted[t.Peer.ID]; ok && p.Type == t.Type {
			ports[t.Name] = p
		}
	}
	return ports
}
