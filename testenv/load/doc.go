// Package load makes load for the benchmarks of gossip: a crowd of idle hosts
// in one process, and a memberlist without gremesh's layers.
//
// The package has its own copy of the few message fields that the hosts of a
// crowd use, and a plain transport. mesh/gossip therefore contains no code that
// serves only to measure it. The test of this package runs a real node against
// a crowd, and fails if the two formats differ.
//
// Run blocks until its context ends. A Crowd may be used by one goroutine.
package load
