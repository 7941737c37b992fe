// Package probe finds out whether packets pass between this host's docker0 and
// each peer's docker0, through the tunnel.
//
// A probe is a unicast ARP request (RFC 826) that leaves by docker0 for the
// peer's docker0. It meets what containers' packets meet: the port of docker0,
// br0's flows, tags and spanning trees, and the tunnel. The peer's kernel
// answers it below every IP hook, so no INPUT rule drops it and silence means
// that the path is broken. The request has the sender address 0.0.0.0 (an ARP
// probe, RFC 5227, section 1.1): the kernel then answers without asking routes,
// rp_filter or arp_filter, and learns no neighbour from it.
//
// An answer counts if it was seen twice: on br0's own device, where no local
// container can put a frame, and on docker0, which shows that it got through. It
// must carry the peer's MAC address, which follows from the peer's bip.
//
// Every tenth probe is padded to docker0's MTU.
//
// track and schedule are pure. [Prober] owns the sockets. [Prober.Run] is one
// goroutine and starts no other; the other methods may be called from any.
package probe
