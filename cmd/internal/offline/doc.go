// Package offline works on this host without an agent: it plans the changes
// that an agent would make, and removes gremesh from the host.
//
// Plan changes nothing. An Uninstaller holds the lock of the state while it
// works, so that no agent can start. If an agent runs, it first makes that
// agent leave the mesh and end.
package offline
