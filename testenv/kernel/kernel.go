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
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

const (
	binary  = "linux.uml"
	modules = "/usr/lib/uml/modules" // a folder for each release
)

// Config describes a guest.
type Config struct {
	Memory  string        // at the most, as 512M or 4G; default 2G
	Share   string        // a folder of the machine that the guest writes to; made if need be
	Timeout time.Duration // of the whole run, from power-on; default 15 m

	Stdout, Stderr io.Writer // of the command, as it comes; default: discard

	place int // among guests side by side
}

// ErrBoot is what Run's error wraps where the guest has not come as far as to
// start the command: this machine can't run one.
var ErrBoot = errors.New("the guest has not booted")

// ExitError is the end of a command that ran in the guest, and failed.
type ExitError struct{ Code int }

func (e *ExitError) Error() string { return fmt.Sprintf("exit status %d", e.Code) }

// job is what the guest is to do. It inherits the caller's environment and folder.
type job struct {
	Argv  []string
	Dir   string
	Env   []string
	Share string
}

// Check tells what this machine lacks to boot a guest.
func Check() error {
	if os.Geteuid() != 0 {
		return errors.New("a guest kernel needs root, to read all of the machine's files")
	}
	var missing []string
	for _, c := range []string{binary, "modprobe"} {
		if _, err := exec.LookPath(c); err != nil {
			missing = append(missing, c)
		}
	}
	if _, err := os.Stat(modules); err != nil {
		missing = append(missing, modules)
	}
	if len(missing) > 0 {
		return fmt.Errorf("a guest kernel needs %s: not found (`make deps` installs it)", strings.Join(missing, ", "))
	}
	return nil
}

// Run boots a guest, runs a command in it as root, and returns when the guest
// has gone: nil, an *ExitError, or what kept the command from being run to its
// end. The command has no standard input.
func Run(ctx context.Context, cfg Config, argv ...string) error {
	if err := Check(); err != nil {
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
	if err := writeJob(dir, cfg.Share, argv); err != nil {
		return err
	}
	boot, status := &bytes.Buffer{}, &bytes.Buffer{}
	vm, err := command(ctx, dir, cmp.Or(cfg.Memory, "2G"))
	if err != nil {
		return err
	}
	vm.Stdout, vm.Stderr = boot, boot
	consoles, err := connect(vm, orDiscard(cfg.Stdout), orDiscard(cfg.Stderr), status)
	if err != nil {
		return err
	}
	// The signal at the parent's death comes when the thread that started the
	// process dies: this one has to stay.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err = onOneProcessor(cfg.place, vm.Start)
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

func writeJob(dir, share string, argv []string) error {
	cwd, err := os.Getwd()
	if err != nil {
		return err
	}
	if share != "" {
		if share, err = filepath.Abs(share); err != nil {
			return err
		}
		if err := os.MkdirAll(share, 0o755); err != nil {
			return err
		}
	}
	text, err := json.Marshal(job{Argv: argv, Dir: cwd, Env: os.Environ(), Share: share})
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, jobFile), text, 0o600)
}

// command is the guest: see `linux.uml --help`. Its consoles 1 to 3 are the
// extra files of connect.
func command(ctx context.Context, dir, memory string) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	vm := exec.CommandContext(ctx, binary, "mem="+memory,
		"root=/dev/root", "rootfstype=hostfs", "rootflags=/", "ro",
		"init="+self, jobEnv+"="+filepath.Join(dir, jobFile), // a word that no one knows becomes init's environment
		"quiet", "panic=1", "uml_dir="+dir, "umid=vm",
		"con0=null,fd:1", "con1=null,fd:3", "con2=null,fd:4", "con3=null,fd:5", "con=null", "ssl=null")
	vm.Env = append(os.Environ(), "TMPDIR="+memoryDir())
	vm.SysProcAttr = &syscall.SysProcAttr{
		Setpgid:   true, // ^C is for the caller, who ends the guest by its context
		Pdeathsig: syscall.SIGKILL,
	}
	vm.Cancel = func() error { return syscall.Kill(-vm.Process.Pid, syscall.SIGKILL) }
	return vm, nil
}

// memoryDir is where the file is made, and unlinked, that is the guest's memory.
func memoryDir() string {
	const fast = "/dev/shm"
	if info, err := os.Stat(fast); err == nil && info.IsDir() {
		return fast
	}
	return os.TempDir()
}

// tail are the last lines of a text.
func tail(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
