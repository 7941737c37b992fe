// Package process finds the daemons that change this host's network besides
// gremesh: dockerd, ovs-vswitchd, ovsdb-server. It reads /proc, executes
// nothing, and accepts only processes of the host's root user in our own network
// namespace: a user or a container can give any process these names. A search
// reads a file of every process (about 4 ms for 100 of them), so it is for
// moments in which something has changed. A BootMark records in a file that
// something has happened since the boot.
//
// The package keeps nothing in memory; its functions may be called from any goroutine.
package process
