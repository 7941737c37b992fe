// Package process finds the processes that change this host's network besides
// gremesh: dockerd, ovs-vswitchd, ovsdb-server. It looks at /proc, and only at
// those of its own network namespace. A search reads a file of every process
// (about 4 ms for 100 of them), so it is for moments in which something has
// changed.
//
// The package keeps nothing; its functions may be called from any goroutine.
package process
