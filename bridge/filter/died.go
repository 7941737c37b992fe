package filter

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// errDied means that nft was ended by a signal, so nothing can be observed. nft
// 1.0.6 crashes on tables that a newer nft has written, such as those of Docker
// 29.
var errDied = errors.New("was ended by a signal")

// ended returns an error if the process was ended by a signal that shows a
// fault of the program, such as SIGSEGV. It returns nil for signals that others
// send, such as SIGTERM.
func ended(name string, state *os.ProcessState) error {
	if state == nil {
		return nil
	}
	status, ok := state.Sys().(syscall.WaitStatus)
	if !ok || !status.Signaled() {
		return nil
	}
	switch s := status.Signal(); s {
	case syscall.SIGSEGV, syscall.SIGABRT, syscall.SIGBUS, syscall.SIGILL, syscall.SIGFPE:
		return fmt.Errorf("%s %w (%s)", name, errDied, s)
	}
	return nil
}
