// Package e2e holds the tests of gremesh from end to end: real agents on real
// hosts with Open vSwitch and Docker, made by package testenv. Each test says
// what an operator or a container would see.
//
// It has tests only. A lab takes a second or two to make and its daemons share
// the machine, so behaviours that leave a mesh whole are tested one after the
// other in one lab, and two labs at most are up at once.
package e2e
