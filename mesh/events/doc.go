// Package events turns consecutive snapshots of a host into events: a peer
// joined, failed, left or returned; a tunnel went down or came up; a problem
// appeared or was cleared. The log and the history record them, so that
// "when did it break last night?" has an answer.
//
// The package is pure: it has no clock, logger or I/O. A [Tracker] belongs to
// one goroutine. Two invariants hold:
//   - Equal consecutive snapshots produce no event.
//   - An object that keeps changing produces a bounded number of events
//     (see flapLimit); the rest is summarized once it is stable again.
package events
