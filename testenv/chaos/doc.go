// Package chaos lets everything that package testenv can break go wrong on
// five hosts with containers that ping each other, one to three faults at a
// time, and measures how long it lasts.
//
// It has tests only. The sequence of faults is drawn from a seed alone, so that
// a run can be repeated; how long things take is real. docs/reliability.md has
// the outcome of a long run.
package chaos
