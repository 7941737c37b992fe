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

// run runs the whole program and returns the exit code. The first SIGINT or
// SIGTERM cancels the context of the command. A second one ends the process at
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
		// If this fails, nobody can be told.
		_, _ = io.WriteString(stderr, errorText(advised(err, os.Geteuid() == 0)))
	}
	return code
}

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

// advised adds the advice to become root to a permission error of a user who is
// not root.
func advised(err error, root bool) error {
	const advice = "become root"
	if root || !errors.Is(err, fs.ErrPermission) || strings.Contains(err.Error(), advice) {
		return err
	}
	return fmt.Errorf("%w: %s", err, advice)
}

// errorText prefixes each line of an error with the program's name, so that
// each of several joined errors has it. It drops blank lines. It does not
// prefix indented lines, because they belong to the line above.
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
