// Package matrix runs the tests with other versions of Docker and Open vSwitch
// than this machine has.
//
// A Cell is a set of versions: a Debian release, optionally with a newer
// dockerd built from source. A Suite is a test binary with its arguments. Run
// builds the test binaries on this machine and makes the root file system of
// each cell, unless the cache has it. It then runs each suite with that root.
//
// root.sh makes a root file system, and enter.sh runs a command in one. A root
// never changes: each run has its own overlay in memory. The names of the roots
// and dockerds in the cache contain a hash of their recipe. Therefore a changed
// recipe makes a new one.
package matrix
