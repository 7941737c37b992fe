package docker

import "net/netip"

// Settings are the keys of daemon.json that gremesh owns (dockerd(8)).
type Settings struct {
	Bip netip.Prefix // "bip": docker0's address, 172.17.42.1/24
	MTU int          // "mtu": bytes, of docker0's network and its containers
	// Direct asks for "allow-direct-routing", where dockerd knows that key.
	Direct bool
	// Accept asks for "bridge-accept-fwmark", a mark and its mask, where dockerd
	// needs and knows that key; empty: for none.
	Accept string

	// Former asks for all as they were before gremesh, in place of the above.
	Former bool
	// Interim, with Former, is the bip where there was none. dockerd keeps the
	// address of its last bip in a database of its own: it must be started once
	// with the one that docker0 had.
	Interim netip.Prefix
}

// Values are the keys as daemon.json has them.
type Values struct {
	Bip    string `json:"bip,omitempty"`                  // as written; empty: not set
	MTU    int    `json:"mtu,omitempty"`                  // bytes; 0: not set
	Direct string `json:"allow_direct_routing,omitempty"` // true or false; empty: not set
	Accept string `json:"bridge_accept_fwmark,omitempty"` // as written; empty: not set
}
