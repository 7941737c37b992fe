package docker

import "net/netip"

// Settings is the desired state of the keys of daemon.json that gremesh owns
// (dockerd(8)). The zero Settings desires no change.
type Settings struct {
	Bip netip.Prefix // "bip": docker0's address and prefix length, such as 172.17.42.1/24
	MTU int          // "mtu": bytes, for docker0's network and its containers
	// Direct asks for "allow-direct-routing" if dockerd knows that key.
	Direct bool
	// Accept asks for "bridge-accept-fwmark" with this mark and mask, if
	// dockerd needs and knows that key. If it is empty, no mark is wanted.
	Accept string

	// Former asks for the original values of all keys. The fields above are
	// then ignored.
	Former bool
	// TransitionalBip is the bip to write if Former is set and there was no bip
	// originally. dockerd stores the address of its last bip in its own
	// database. Therefore it must be started once with docker0's original
	// address.
	TransitionalBip netip.Prefix
}

// Values has gremesh's keys as they are in daemon.json.
type Values struct {
	Bip    string `json:"bip,omitempty"`                  // as written; empty if not set
	MTU    int    `json:"mtu,omitempty"`                  // bytes; 0 if not set
	Direct string `json:"allow_direct_routing,omitempty"` // true or false; empty if not set
	Accept string `json:"bridge_accept_fwmark,omitempty"` // as written; empty if not set
}
