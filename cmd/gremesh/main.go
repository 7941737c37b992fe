package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
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
		_, _ = io.WriteString(stderr, errorText(advised(err, os.Geteuid() == 0))) // there is no one left to tell
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

// advised says what to do about what only root may.
func advised(err error, root bool) error {
	const advice = "become root"
	if root || !errors.Is(err, fs.ErrPermission) || strings.Contains(err.Error(), advice) {
		return err
	}
	return fmt.Errorf("%w: %s", err, advice)
}

// errorText begins each line of an error, and so each of joined errors, with
// the program's name. Blank lines go, indented ones belong to the one above.
func errorText(err error) string {
	var b strings.Builder
	for line := range strings.Lines(err.Error()) {
		line = strings.TrimRight(line, " \t\n")
		switch {
		case line == "":
			continue
		case line[0] != ' ' && line[0] != '\t':
			b.WriteString("gremesh: ")
		}
		b.WriteString(line + "\n")
	}
	return b.String()
}
