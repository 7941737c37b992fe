// Package pathmtu measures the size of the largest packet that reaches each peer
// through the underlay without fragmentation.
//
// A Prober sends a peer an ICMP echo request (RFC 792). The packet has the size of
// the MTU of the device that leads to the peer. This host and the routers must
// not fragment it: DF is set. The kernel must not apply the path MTU that it has
// learned either (IP_PMTUDISC_PROBE, ip(7)).
//
// If a router answers "fragmentation needed" (RFC 1191), the search tries the MTU
// in that answer next. Without any answer it is a binary search (as in RFC 4821).
// The echo reply may return in fragments. The result is therefore valid only for
// the direction to the peer.
//
// A smaller MTU takes effect at once. A larger MTU takes effect only after two
// rounds have found it, so that a flapping path does not make the MTU flap. If a
// peer answers nothing, for example because ICMP is filtered, the previous result
// stays valid.
package pathmtu
