// Package api is the client of the control socket, and holds JSON types that
// only the command line prints. The agent serves the socket with mesh.Control.
//
// Any goroutine may use a Client.
package api
