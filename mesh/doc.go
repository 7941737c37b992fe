// Package mesh reconciles one host's part of the container network.
//
// [Plan] computes the desired state of this host from the configuration and the
// [View] of the mesh. The desired state is a switch with a tunnel to every
// peer, docker0 with the host's bip, and the aggregate route. The [Loop] wakes
// whenever anything may have changed, observes the host, and applies the
// difference. A pass carries no instruction to the next one. Start-up, a join
// and a repair take the same path. If nothing has changed, a pass writes and
// logs nothing. A pass reuses an earlier observation until an event invalidates
// it, for at most 30 s.
//
// The package does no I/O of its own, except for the HTTP of the control
// socket. It reaches gossip, Open vSwitch, the kernel and Docker through small
// interfaces that it declares. One goroutine drives the Loop ([Loop.Run]). Any
// goroutine may call its other methods.
package mesh
