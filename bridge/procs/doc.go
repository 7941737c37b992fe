// Package procs finds the daemons that change this host's network besides
// gremesh: dockerd, ovs-vswitchd and ovsdb-server. It reads /proc and executes
// nothing.
//
// The package accepts only processes of the host's root user in the caller's own
// network namespace. It checks this because a user or a container can give any
// process one of these names.
//
// A search reads one file of every process, which takes about 4 ms for 100
// processes. Call it only when something has changed, not periodically.
//
// A BootMark records in a file that an event happened since the last boot.
//
// The package keeps nothing in memory. Any goroutine may call its functions.
package procs
