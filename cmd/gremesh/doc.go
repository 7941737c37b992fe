// Command gremesh joins the Docker hosts of one site into one container
// network.
//
// This package is the composition root: wire.go creates the components of this
// machine, and cmd/internal/cli runs the command line with them. Nothing else
// calls os.Exit.
package main
