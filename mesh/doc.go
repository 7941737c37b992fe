// Package mesh keeps one host's part of the container network as it should be.
//
// [Plan] computes from the configuration and the [View] of the mesh what this
// host should have: a switch with a tunnel to every peer, docker0 with the
// host's bip, the aggregate route. The [Loop] wakes whenever anything may have
// changed, observes what there is, and applies the difference. It carries no
// instruction from one pass to the next: start-up, a join and a repair take
// the same path, and a pass over an unchanged world writes and logs nothing. What
// nothing has said to have changed is not looked at again, for 30 s at the most.
//
// The package does no I/O of its own beyond the control socket's HTTP. Gossip,
// Open vSwitch, the kernel and Docker come to it through small interfaces that
// are declared here. The Loop is driven from one goroutine ([Loop.Run]); its
// other methods may be called from any.
package mesh
