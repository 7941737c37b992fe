// Package docker manages gremesh's keys in dockerd's configuration file,
// daemon.json (dockerd(8)): bip, mtu, allow-direct-routing and
// bridge-accept-fwmark. It writes the last two only if they are wanted and
// dockerd knows them. All other keys, their order, big numbers and the
// formatting stay unchanged. The file is replaced atomically.
//
// dockerd reads the file only when it starts. If a dockerd runs while gremesh
// writes the file, gremesh records that process. The record has the boot ID,
// the process ID and the start time. Docker must be restarted as long as that
// process runs. The record does not depend on a clock, and it does not matter
// who restarts Docker.
//
// There are two exceptions. If Docker's own network can be compared with bip,
// that comparison decides, and not the record. If another program removed
// gremesh's values and gremesh writes them again, a dockerd that started with
// these values is not recorded.
//
// The methods of a Daemon must not be called concurrently. Run, Changed and
// Restart are exceptions: they may run beside any other method.
package docker
