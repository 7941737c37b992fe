// Package settings holds the settings that all hosts of a mesh share. They form
// one versioned record. Any host can change the record, and every host keeps a
// copy.
//
// Everything here is pure: the package has no clock, no I/O and no randomness
// of its own. mesh/gossip replicates a Record and makes it durable. A later
// feature adds its key to keys.go and reads it with [Key.Of]; it needs no other
// change.
//
// Invariants: Merge is commutative, associative and idempotent, so hosts that
// have seen the same records agree. A host keeps and forwards the values of
// keys that its version does not know. The size of a record is bounded. One
// message can raise the version by at most [MaxJump].
package settings
