// Package reconcile keeps a machine in its desired state.
//
// Components observe one part of the machine each, compare it with the desired
// state in a pure Plan, and apply the difference. The Engine calls them in
// dependency order and provides everything that is the same for all of them:
// debouncing, timeouts, backoff, periodic resync, contention, causes, the
// journal, dry runs, removal and restoration.
//
// Reconciliation is level-triggered: an event says that something may have
// changed, never what to do. Starting, joining and repairing take one path.
//
// The package imports only the standard library and knows nothing of networks.
// Engine's methods are safe for concurrent use; at most one of Reconcile,
// DryRun, Remove and Restore runs at a time.
package reconcile
