// Package state keeps files in the agent's state directory.
//
// Write is atomic and durable: after a crash a file holds either its old or its
// new content, and the new one once Write has returned. Only one process at a
// time may write to a directory; Lock enforces that.
//
// The package keeps nothing in memory. Its functions may be called from any
// goroutine.
package state
