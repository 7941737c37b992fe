// Command gremesh joins the Docker hosts of one site into one container
// network.
//
// This package is the edge of the program. It builds one checked Config from a
// file, the environment and flags. It connects the components into an agent. It
// also asks a running agent over its control socket.
//
// The program changes nothing on the machine before it has checked the whole
// configuration. Only main calls os.Exit.
package main
