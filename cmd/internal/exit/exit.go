// Package exit holds the exit codes of the command line, and the error that
// carries one. Only main ends the process.
package exit

import (
	"errors"
	"fmt"
)

// Exit codes, as documented in the help texts.
const (
	OK      = 0
	Failed  = 1
	Drift   = 1 // gremesh audit, gremesh status --check
	Usage   = 2
	Unknown = 3 // gremesh audit, gremesh status --check
)

// Error is an error with its own exit code. If Err is nil, the command has
// already printed everything.
type Error struct {
	Code int
	Err  error
}

func (e Error) Error() string { return fmt.Sprint(e.Err) }

func (e Error) Unwrap() error { return e.Err }

// CodeOf returns the exit code of an error. silent reports whether the error
// must not be printed. An error before a command has started is an error in the
// command line.
func CodeOf(err error, started bool) (code int, silent bool) {
	var exit Error
	switch {
	case errors.As(err, &exit):
		return exit.Code, exit.Err == nil
	case !started:
		return Usage, false
	}
	return Failed, false
}
