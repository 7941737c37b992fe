// Package events compares consecutive snapshots of a host and returns events. A
// peer joins, fails, leaves or returns; a tunnel goes down or comes up; a
// problem appears or is cleared. The log and the history record these events,
// so that an operator can find out when something broke.
//
// The package is pure: it has no clock, logger or I/O. Only one goroutine may
// use a [Tracker]. Two invariants hold:
//   - Two equal consecutive snapshots produce no event.
//   - An object that keeps changing produces a bounded number of events (see
//     flapLimit). The other changes are summarized when it is stable again.
package events
