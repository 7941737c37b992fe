// Package settings holds the settings that all hosts of a mesh share: one
// versioned record, which any host can change and every host keeps.
//
// Everything here is pure: no clock, no I/O, no randomness of its own. Record is
// replicated by mesh/gossip, which also makes it durable. A later feature adds
// its key to keys.go and reads it with [Key.Of]; nothing else changes.
//
// Invariants: Merge is commutative, associative and idempotent, so hosts that
// have seen the same records agree. Values of keys that this version does not
// know are kept and passed on. A record is bounded in size, and one message can
// raise the version by at most [MaxJump].
package settings
