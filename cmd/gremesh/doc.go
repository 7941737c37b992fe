// Command gremesh joins the Docker hosts of one site into one container
// network.
//
// This package is the edge of the program: it turns a file, the environment
// and flags into one checked Config, wires the parts into an agent, and asks a
// running agent through its control socket. Nothing on the machine is changed
// before the whole configuration has been checked. Only main calls os.Exit.
package main
