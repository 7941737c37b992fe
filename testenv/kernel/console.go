package kernel

import (
	"io"
	"os"
	"os/exec"
	"sync"
)

// consoles copies the output of the guest's consoles to writers.
type consoles struct {
	ends []*os.File // the guest's ends of the pipes
	busy sync.WaitGroup
}

// connect creates a pipe for each writer. The guest's ends become the extra
// files of the process in the same order, starting with file 3.
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
			_, _ = io.Copy(w, from) // if the writer fails, keep reading so that the guest does not block
			_, _ = io.Copy(io.Discard, from)
			_ = from.Close()
		})
	}
	vm.ExtraFiles = c.ends
	return c, nil
}

// started closes the guest's ends in this process. Call it after the guest has
// started, because the guest then has its own copies, or after the start has
// failed.
func (c *consoles) started() {
	for _, end := range c.ends {
		_ = end.Close()
	}
}

// wait returns when all output has been copied.
func (c *consoles) wait() { c.busy.Wait() }
