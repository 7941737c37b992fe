// Package probe checks whether packets pass between this host's docker0 and each
// peer's docker0 through the tunnel.
//
// A probe is a unicast ARP request (RFC 826) that leaves by docker0 for the
// peer's docker0. It takes the same path as the packets of containers: the port
// of docker0, br0's flows, VLAN tags and spanning trees, and the tunnel. The
// peer's kernel answers it below every IP hook, so no INPUT rule can drop it. A
// missing answer therefore means that the path is broken.
//
// The sender address in the request is 0.0.0.0 (an ARP probe, RFC 5227, section
// 1.1). The kernel then answers without consulting routes, rp_filter or
// arp_filter, and adds no neighbour entry.
//
// An answer counts only if it was seen on two devices. A sighting on br0's own
// device proves the origin, because no local container can send a frame there. A
// sighting on docker0 proves that the frame passed from br0 to docker0. The answer
// must also carry the peer's MAC address, which follows from the peer's bip.
//
// At least every tenth probe is padded to docker0's MTU.
//
// track and schedule are pure. [Prober] owns the sockets. [Prober.Run] uses only
// its own goroutine. Any goroutine may call the other methods.
package probe
