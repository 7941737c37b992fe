package testenv

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
)

// watchdogEnv marks a process as the watchdog of a lab. Its value is the lab's
// folder.
const watchdogEnv = "TESTENV_WATCHDOG"

// Messages from the owner to the watchdog at the end. An owner that dies sends
// nothing, and the watchdog removes the lab.
const (
	removeLab = ""
	keepLab   = "keep"
)

// A program that creates labs is also their watchdog: it starts itself again,
// and this function takes over the second process before any other code runs.
// It is an init function, so that no TestMain can forget to call it.
func init() {
	if dir := os.Getenv(watchdogEnv); dir != "" {
		os.Exit(watch(dir))
	}
}

// watch waits until the pipe on standard input has no more writers. It then
// removes the lab, unless the owner sent keepLab.
func watch(dir string) int {
	signal.Ignore(syscall.SIGHUP, syscall.SIGINT, syscall.SIGTERM, syscall.SIGPIPE)
	said, err := io.ReadAll(os.Stdin)
	if err == nil && string(said) == keepLab {
		return 0
	}
	if err := Remove(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// watchdog is a process that removes the lab when its owner has ended.
type watchdog struct {
	cmd    *exec.Cmd
	pipe   *os.File // write end; closing it is the signal
	stderr bytes.Buffer
}

func startWatchdog(dir string) (*watchdog, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("start watchdog: %w", err)
	}
	defer func() { _ = r.Close() }()
	d := &watchdog{pipe: w, cmd: exec.Command("/proc/self/exe")} //nolint:noctx // it outlives every context
	d.cmd.Dir = "/"
	d.cmd.Env = append(os.Environ(), watchdogEnv+"="+dir)
	d.cmd.Stdin = r
	d.cmd.Stderr = &d.stderr
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // Ctrl-C is for the owner only
	if err := d.cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start watchdog: %w", err), w.Close())
	}
	return d, nil
}

// release tells the watchdog what to do with the lab, and waits until it is
// done.
func (d *watchdog) release(say string) error {
	_, err := d.pipe.WriteString(say)
	err = errors.Join(err, d.pipe.Close())
	if waitErr := d.cmd.Wait(); waitErr != nil {
		err = errors.Join(err, fmt.Errorf("watchdog: %w: %s", waitErr, strings.TrimSpace(d.stderr.String())))
	}
	return err
}
