package ovsdb

// matched pairs the wanted tunnels, by name, with the ports of ours that are to
// be them: the one of that name, on whatever bridge, or else one that was
// adopted for the peer. Peers are told apart by their IDs, so that an adopted
// port stays when its peer gets another subnet or underlay address.
//
// An adopted port whose name is that of another tunnel is no match: it becomes
// that tunnel, and its own is made anew under its own name.
func matched(want Switch, have Actual) map[string]Port {
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
