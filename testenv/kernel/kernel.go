package kernel

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// Config describes a guest.
type Config struct {
	Bed     Bed
	Kernel  string        // for QEMU: a folder with boot/vmlinuz-RELEASE and lib/modules/RELEASE; default: /
	Memory  string        // the maximum, such as 512M or 4G; default 2G
	Share   string        // a folder of the machine to which the guest writes; created if necessary
	Timeout time.Duration // limits the whole run, from power-on; default 15 m

	Stdout, Stderr io.Writer // of the command, copied as it arrives; default: discard

	place int // number of the guest if several run side by side
}

// ErrBoot means that the guest did not start the command: this machine cannot
// run a guest. Run's error wraps it.
var ErrBoot = errors.New("the guest has not booted")

// ExitError means that the command ran in the guest and failed.
type ExitError struct{ Code int }

func (e *ExitError) Error() string { return fmt.Sprintf("exit status %d", e.Code) }

// job tells the guest what to run and which devices it has. The command
// inherits the caller's environment and folder.
type job struct {
	Argv     []string
	Dir      string
	Env      []string
	Bed      Bed
	Modules  string
	Consoles [3]string
	Share    string
	ShareBy  share
}

// Run boots a guest, runs a command in it as root, and returns when the guest
// has ended. The error is nil if the command succeeds, and an *ExitError if it
// fails. Any other error is the reason why the command did not run to its end.
// The command has no standard input.
func Run(ctx context.Context, cfg Config, argv ...string) error {
	if err := cfg.Check(); err != nil {
		return fmt.Errorf("%w: %w", ErrBoot, err)
	}
	if err := run(ctx, cfg, argv); err != nil {
		return fmt.Errorf("run %s in a guest kernel: %w", argv[0], err)
	}
	return nil
}

func run(ctx context.Context, cfg Config, argv []string) (err error) {
	timeout := cmp.Or(cfg.Timeout, 15*time.Minute)
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("it has not ended within %s", timeout))
	defer cancel()
	dir, err := os.MkdirTemp("", "gm-kernel-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if cfg.Share != "" {
		if cfg.Share, err = filepath.Abs(cfg.Share); err != nil {
			return err
		}
		if err := os.MkdirAll(cfg.Share, 0o755); err != nil {
			return err
		}
	}
	machine, err := cfg.machine(dir)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrBoot, err)
	}
	if err := writeJob(dir, cfg, machine, argv); err != nil {
		return err
	}
	boot, status := &bytes.Buffer{}, &bytes.Buffer{}
	vm := machine.command(ctx)
	vm.Stdout, vm.Stderr = boot, boot
	consoles, err := connect(vm, orDiscard(cfg.Stdout), orDiscard(cfg.Stderr), status)
	if err != nil {
		return err
	}
	// The kernel sends the death signal of the parent when the thread that
	// started the process ends. Therefore this thread must stay.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if machine.pinned {
		err = onOneProcessor(cfg.place, vm.Start)
	} else {
		err = vm.Start()
	}
	consoles.started()
	if err != nil {
		return err
	}
	_ = vm.Wait() // its own exit status is not the command's
	consoles.wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var said string
	var code int
	switch n, _ := fmt.Fscan(status, &said, &code); {
	case n == 0:
		return fmt.Errorf("%w (%s); its last words:\n%s", ErrBoot, vm.ProcessState, tail(boot.String(), 10))
	case n == 1:
		return fmt.Errorf("it ended without a result (%s); its last words:\n%s", vm.ProcessState, tail(boot.String(), 10))
	case code != 0:
		return &ExitError{code}
	}
	return nil
}

func orDiscard(w io.Writer) io.Writer {
	if w == nil {
		return io.Discard
	}
	return w
}

func writeJob(dir string, cfg Config, m machine, argv []string) error {
	cwd, err := os.Getwd()
	if err != nil {
		return err
	}
	text, err := json.Marshal(job{
		Argv: argv, Dir: cwd, Env: os.Environ(),
		Bed: cfg.bed(), Modules: m.modules, Consoles: m.consoles, Share: cfg.Share, ShareBy: m.share,
	})
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, jobFile), text, 0o600)
}

// tail returns the last n lines of a text.
func tail(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
