// Package pathmtu measures how large a packet reaches each peer through the
// underlay in one piece.
//
// A peer is asked for an echo (ICMP, RFC 792) at the size of the MTU of the
// device that leads to it, and must not be answered in fragments of ours: DF is
// set, and what the kernel remembers of the path is not asked (IP_PMTUDISC_PROBE,
// ip(7)). What a router answers ("fragmentation needed", RFC 1191) shortens the
// search, and what does not answer is searched for by halves (as in RFC 4821).
// Echoes come back in fragments if need be: this is the way there alone.
//
// What is lower is believed at once; what is higher, only when it was found
// twice, so that a path that comes and goes does not make the MTU do so. A peer
// that answers nothing, as where ICMP is filtered, keeps what was found before.
package pathmtu
