// Package machine holds what the daemon and the commands that run without one
// both need to know of this machine: its components, its underlay, whether it
// meets the prerequisites, and the files and the lock of the state directory.
//
// Everything here only reads, except LockState, which creates the state
// directory, and RemoveState. Components are created by a Constructor, which
// main defines. An UnderlayWatcher starts no goroutine; its methods may be
// called from any goroutine.
package machine
