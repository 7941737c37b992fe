// Package lease decides which host owns which subnet, without a coordinator.
//
// Every host keeps a [Table] with one [Record] for each host that it has ever
// heard of. Only its owner writes a record. Of two versions of a record the
// higher one wins. So hosts can merge tables in any order and any number of
// times.
//
// A host without a lease claims one ([Machine.Start], [Machine.Retry]). It
// writes a record in state [Claiming] and sends it to every host that holds a
// lease or may hold one. A receiver grants the claim if no other host's record
// in its own table conflicts with it. It writes the claim to disk before it
// answers. The stored record is a promise: the receiver grants the subnet to no
// other host. It also tells the receiver that the claimant exists. The answer
// of a holder carries the holder's table.
//
// The claim stands when more holders have granted it than are silent, and no
// host has denied it. Hosts that are still claiming answer too. Their answer
// binds them, but it has no weight. The proof in docs/leases.md shows that two
// claims of one subnet cannot both stand, even if messages are delayed, lost or
// repeated.
//
// The package is pure: it has no clock, no I/O, no randomness and no logging. A
// Machine is not safe for concurrent use: its owner calls it from one
// goroutine. If a call reports a change, the owner first writes the table to
// disk. Only then does it send the messages that the call returned.
package lease
