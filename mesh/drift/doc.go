// Package drift describes one difference between the desired and the observed
// state.
//
// The packages that observe the machine (ovsdb, bridge, bridge/docker) return
// their differences as values that embed a Drift. Code that prints or evaluates
// differences needs no other type. The package is pure: it does no I/O, and of
// gremesh it imports only mesh/reconcile.
package drift
