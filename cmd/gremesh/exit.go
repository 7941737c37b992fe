package main

import (
	"errors"
	"fmt"
)

// Exit codes, as documented in the help texts.
const (
	exitOK      = 0
	exitError   = 1
	exitDrift   = 1 // gremesh audit, gremesh status --check
	exitUsage   = 2
	exitUnknown = 3 // gremesh audit, gremesh status --check
)

// exitErr is an error with its own exit code. If err is nil, the command has
// already printed everything.
type exitErr struct {
	code int
	err  error
}

func (e exitErr) Error() string { return fmt.Sprint(e.err) }

func (e exitErr) Unwrap() error { return e.err }

// exitCode returns the exit code of an error. silent reports whether the error
// must not be printed. An error before a command has started is an error in the
// command line.
func exitCode(err error, started bool) (code int, silent bool) {
	var exit exitErr
	switch {
	case errors.As(err, &exit):
		return exit.code, exit.err == nil
	case !started:
		return exitUsage, false
	}
	return exitError, false
}
