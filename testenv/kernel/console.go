package kernel

import (
	"io"
	"os"
	"os/exec"
	"sync"
)

// consoles carry what the guest writes to its consoles.
type consoles struct {
	ends []*os.File // the guest's
	busy sync.WaitGroup
}

// connect makes a pipe for each writer, and its end the next of the process's
// extra files, the first of which is file 3.
func connect(vm *exec.Cmd, writers ...io.Writer) (*consoles, error) {
	c := &consoles{}
	for _, w := range writers {
		from, to, err := os.Pipe()
		if err != nil {
			c.started()
			c.wait()
			return nil, err
		}
		c.ends = append(c.ends, to)
		c.busy.Go(func() {
			_, _ = io.Copy(w, from) // a reader that has gone is no reason to stop
			_, _ = io.Copy(io.Discard, from)
			_ = from.Close()
		})
	}
	vm.ExtraFiles = c.ends
	return c, nil
}

// started gives the ends away: the guest has its own, or will never have them.
func (c *consoles) started() {
	for _, end := range c.ends {
		_ = end.Close()
	}
}

// wait returns when all that was written has been handed on.
func (c *consoles) wait() { c.busy.Wait() }
