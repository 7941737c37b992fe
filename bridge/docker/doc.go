// Package docker keeps keys of dockerd's configuration file: bip and mtu, and,
// where that is wanted and dockerd knows it, allow-direct-routing. Every other key, its order, big numbers, comments and formatting stay as
// they are, and the file is replaced atomically.
//
// dockerd reads the file only when it starts. A dockerd that ran while the
// file was written is recorded with the boot, process ID and start time that
// name it; as long as that very process runs, Docker must be restarted. No
// clock is involved, and it does not matter who restarts it. A dockerd that is
// known to have started with the values, which somebody took out of the file
// since, is not recorded when they are put back.
//
// A Daemon's methods must not be called concurrently, but for Run, Changed and
// Restart.
package docker
