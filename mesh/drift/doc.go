// Package drift describes one difference between what should be and what is.
//
// The parts that observe the machine (ovsdb, bridge, bridge/docker) return
// their differences as values that embed a Drift; whoever prints or judges
// them needs no more than that. The package is pure and has no dependencies.
package drift
