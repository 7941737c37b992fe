package docker

import "net/netip"

// Settings are the two keys of daemon.json that gremesh owns (dockerd(8)).
type Settings struct {
	Bip netip.Prefix // "bip": docker0's address, 172.17.42.1/24
	MTU int          // "mtu": bytes, of docker0's network and its containers
}
