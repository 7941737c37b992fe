package docker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
)

// ErrNever means that no restart command is configured. A person must restart
// Docker.
var ErrNever = errors.New("docker must be restarted, and no command to do so is configured")

// outputLimit is the largest part of a failed command's output that an error
// includes, in bytes.
const outputLimit = 4096

// Restart runs the configured command until it ends or ctx is done. It returns
// ErrNever if no command is configured. Success means only that Docker was
// asked to restart. Observe reports when dockerd is no longer stale.
func (d *Daemon) Restart(ctx context.Context) error {
	if len(d.cfg.Restart) == 0 {
		return ErrNever
	}
	// Use a file and not a pipe. A command may leave dockerd running, and
	// dockerd then inherits the command's output. With a pipe, Restart would
	// wait until dockerd ends.
	out, err := os.CreateTemp("", "gremesh-restart-")
	if err != nil {
		return fmt.Errorf("capture the output of %q: %w", d.cfg.Restart, err)
	}
	defer func() { _ = out.Close() }() // the output is needed only for the error
	if err := os.Remove(out.Name()); err != nil {
		return err
	}
	d.cfg.Log.Info("restarting docker", "command", d.cfg.Restart)
	cmd := exec.CommandContext(ctx, d.cfg.Restart[0], d.cfg.Restart[1:]...)
	cmd.Stdout, cmd.Stderr = out, out
	err = cmd.Run()
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	text, _ := io.ReadAll(io.NewSectionReader(out, 0, outputLimit))
	return fmt.Errorf("restart docker with %q: %w: %s", d.cfg.Restart, err, bytes.TrimSpace(text))
}
