// Package lease decides who owns which subnet, without a coordinator.
//
// Every host keeps a [Table]: one [Record] per host it has ever heard of. Only
// its owner writes a record, and of two versions the higher one wins, so tables
// can be merged in any order, any number of times.
//
// A host without a lease asks for one ([Machine.Claim]): it writes a record in
// state [Claiming] and sends it to everyone it knows of. Whoever receives a
// claim grants it when no other host's record in its own table stands against
// it, and writes it down before it answers. That record is at once the promise
// not to grant the subnet to anyone else and the news that the claimant exists.
// Every answer carries the answerer's table.
//
// The claim stands when more holders have granted it than are silent, and no
// one has denied it. Hosts that are themselves still claiming answer too, and
// are bound by their answer, but weigh nothing. Why two claims of one subnet
// can't both stand, whatever is delayed, lost or repeated: docs/leases.md.
//
// The package is pure: no clock, no I/O, no randomness, no logging. A Machine
// is not safe for concurrent use; its owner calls it from one goroutine, makes
// the table durable whenever a call says that it changed, and only then sends
// the messages that the call returned.
package lease
