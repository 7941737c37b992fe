// Package cli is the command line: one file for each verb. A verb asks a
// running agent over its control socket, reads the state directory, runs the
// daemon, or works without one. Package render formats what it prints.
//
// Everything that a verb prints is also available as JSON (-o json). Errors go
// to standard error. The package never ends the process: Run returns the exit
// code. Call Run once in a process, because it handles its signals.
package cli
