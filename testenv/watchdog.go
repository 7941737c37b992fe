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

// watchdogEnv names the folder of the lab that a process is the watchdog of.
const watchdogEnv = "TESTENV_WATCHDOG"

// What an owner says to the watchdog at the end. One that dies says nothing,
// and the lab is removed.
const (
	removeLab = ""
	keepLab   = "keep"
)

// A program that makes labs is their watchdog too: it starts itself again,
// and this takes the second process over before anything else of it runs.
// Being an init, it cannot be forgotten in a TestMain.
func init() {
	if dir := os.Getenv(watchdogEnv); dir != "" {
		os.Exit(watch(dir))
	}
}

// watch waits until all writers of the pipe on standard input are gone.
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

// watchdog is a process that removes the lab when its owner is gone.
type watchdog struct {
	cmd    *exec.Cmd
	pipe   *os.File // write end; its closing is the signal
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
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // ^C is for the owner
	if err := d.cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start watchdog: %w", err), w.Close())
	}
	return d, nil
}

// release says what to do with the lab, and waits until it is done.
func (d *watchdog) release(say string) error {
	_, err := d.pipe.WriteString(say)
	err = errors.Join(err, d.pipe.Close())
	if waitErr := d.cmd.Wait(); waitErr != nil {
		err = errors.Join(err, fmt.Errorf("watchdog: %w: %s", waitErr, strings.TrimSpace(d.stderr.String())))
	}
	return err
}
