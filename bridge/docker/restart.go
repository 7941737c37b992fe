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

// ErrNever is what Restart returns when no command is configured: a person
// must restart Docker.
var ErrNever = errors.New("docker must be restarted, and no command to do so is configured")

// outputLimit is how much of a failed command's output an error carries, bytes.
const outputLimit = 4096

// Restart runs the configured command until it ends or ctx is done. That it
// succeeds says that Docker was asked to: Observe tells when it is no longer
// stale.
func (d *Daemon) Restart(ctx context.Context) error {
	if len(d.cfg.Restart) == 0 {
		return ErrNever
	}
	// A file, not a pipe: a command that leaves dockerd behind hands it its
	// output, and a pipe would keep us waiting for dockerd's end.
	out, err := os.CreateTemp("", "gremesh-restart-")
	if err != nil {
		return fmt.Errorf("capture the output of %q: %w", d.cfg.Restart, err)
	}
	defer func() { _ = out.Close() }() // nothing of it is kept
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
