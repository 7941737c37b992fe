package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// run is the whole program; it returns the exit code. The first SIGINT or
// SIGTERM cancels the context of the command, a second one ends the process at
// once.
func run(args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)

	root, started := newRoot()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	code, silent := exitCode(err, started())
	if !silent {
		for _, line := range errorLines(err) {
			fmt.Fprintf(stderr, "gremesh: %s\n", line) //nolint:errcheck // there is no one left to tell
		}
	}
	return code
}

// Exit codes, as the help texts give them.
const (
	exitOK      = 0
	exitError   = 1
	exitDrift   = 1 // audit
	exitUsage   = 2
	exitUnknown = 3 // audit
)

// exitErr is an error with an exit code of its own. Without an error in it,
// everything has been said already.
type exitErr struct {
	code int
	err  error
}

func (e exitErr) Error() string { return fmt.Sprint(e.err) }
func (e exitErr) Unwrap() error { return e.err }

// exitCode gives an error's exit code, and whether it is not to be printed.
// What fails before a command has started is wrong on the command line.
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

// errorLines gives joined errors a line each.
func errorLines(err error) []string {
	var exit exitErr
	if errors.As(err, &exit) {
		err = exit.err
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var lines []string
		for _, e := range joined.Unwrap() {
			lines = append(lines, errorLines(e)...)
		}
		return lines
	}
	return []string{strings.TrimSpace(err.Error())}
}
