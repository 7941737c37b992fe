// Package daemon runs this host: it takes the lock of the state, serves the
// control socket and the metrics, tells systemd that it is ready, and runs an
// agent. An agent serves one underlay address. When the underlay changes,
// another agent takes its place; the lock and the socket stay.
//
// Run changes nothing before the preflight has passed. When it ends, tunnels
// and routes stay as they are, unless the host has left the mesh. Call Run once
// in a process, because it limits the processors and the memory of the process.
package daemon
