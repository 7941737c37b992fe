package masq

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// errDied is why nothing can be seen where nft itself fails: nft 1.0.6 does on
// tables that a newer one has written, as that of Docker 29.
var errDied = errors.New("was ended by a signal")

// ended is an error if a process was ended by a signal that is the fault of its
// program, and not somebody's wish.
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
