// Package history keeps the last changes that were made on this host: what,
// when, why. They are one JSON object a line in a file of the state directory,
// which outlives the agent and can be read while it is stopped.
//
// The history is told to people and nothing is decided by it. So it is not
// synced to the disk, a line that can't be read is skipped, and a disk that is
// full costs a warning and entries, and never a repair.
//
// A File may be used from any goroutine. Only one process may append.
package history
