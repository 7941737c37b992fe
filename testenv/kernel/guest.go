package kernel

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	jobEnv  = "TESTENV_KERNEL_JOB"
	jobFile = "job.json"

	// booted is written to the result console before the command starts. The
	// exit code of the command follows after it.
	booted = "booted"

	// insideEnv is set to the name of the bed in all processes of a guest.
	insideEnv = "TESTENV_KERNEL"
)

// A program that boots guests is also their first process. This is an init
// function, so that no main and no TestMain can forget to call it. In a guest,
// no other code of the program runs.
func init() {
	if file := os.Getenv(jobEnv); file != "" && os.Getpid() == 1 {
		first := guest
		if self := os.Getenv(initrdEnv); self != "" {
			first = func(string) error { return leaveInitrd(self) }
		}
		if err := first(file); err != nil {
			fmt.Fprintln(os.Stderr, "testenv kernel:", err) // to console 0; Run quotes its last lines
		}
		unix.Sync()
		err := unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
		panic(err) // this ends the first process, and therefore the kernel panics
	}
}

// guest sets up the machine and runs the job in the given file.
func guest(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var j job
	if err := json.Unmarshal(text, &j); err != nil {
		return err
	}
	for _, kv := range j.Env {
		key, value, _ := strings.Cut(kv, "=")
		if err := os.Setenv(key, value); err != nil {
			return err
		}
	}
	_ = os.Unsetenv(jobEnv)
	_ = os.Setenv("TMPDIR", tmpDir)
	_ = os.Setenv(insideEnv, string(j.Bed))
	if err := mountAll(j); err != nil {
		return err
	}
	if err := settle(); err != nil {
		return err
	}
	var consoles [3]*os.File // standard output, standard error, result
	for i, device := range j.Consoles {
		if consoles[i], err = openConsole(device); err != nil {
			return err
		}
	}
	fmt.Fprintln(consoles[2], booted)
	code, err := j.do(consoles[0], consoles[1])
	if err != nil {
		fmt.Fprintln(consoles[1], "testenv kernel:", err)
	}
	fmt.Fprintln(consoles[2], code)
	for _, c := range consoles {
		err = errors.Join(err, unix.IoctlSetInt(int(c.Fd()), unix.TCSBRK, 1)) // tcdrain(3)
	}
	return err
}

// settle sets up the machine so that Open vSwitch and Docker can run on it.
func settle() error {
	if err := unix.Sethostname([]byte("kernel")); err != nil {
		return err
	}
	many := unix.Rlimit{Cur: 1 << 16, Max: 1 << 16}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &many); err != nil {
		return err
	}
	commands := [][]string{
		{"ip", "link", "set", "lo", "up"},
		{"modprobe", "ipv6"}, // other kernels have it built in
		// The first use of GRE makes the kernel create devices in every
		// namespace. Loading the module now avoids that they appear while a
		// test searches for leftovers.
		{"modprobe", "vport-gre"},
	}
	if NFTablesIP.Missing(context.Background()) != nil {
		// iptables-nft does not work on such a kernel.
		commands = append(commands,
			[]string{"ln", "-sf", "/usr/sbin/iptables-legacy", "/etc/alternatives/iptables"},
			[]string{"ln", "-sf", "/usr/sbin/ip6tables-legacy", "/etc/alternatives/ip6tables"})
	}
	for _, argv := range commands {
		if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil { //nolint:noctx // it ends with the machine
			return fmt.Errorf("%s: %w: %s", strings.Join(argv, " "), err, out)
		}
	}
	// An ovs-vswitchd of OVS 3.1 must not start before the machine has been up
	// for 10 s. Otherwise it never gets threads that handle upcalls (observed),
	// as if it counted no processors.
	const ready = 10200 * time.Millisecond
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return err
	}
	time.Sleep(ready - time.Duration(now.Nano()))
	return nil
}

// openConsole opens a console that passes on its input unchanged.
func openConsole(device string) (*os.File, error) {
	f, err := os.OpenFile(device, os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	mode, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	if err != nil {
		return nil, err
	}
	mode.Oflag &^= unix.OPOST
	mode.Lflag &^= unix.ECHO
	return f, unix.IoctlSetTermios(int(f.Fd()), unix.TCSETS, mode)
}

// do runs the command and returns its exit code as a shell does. It returns 127
// if the command cannot be started. If a signal kills the command, it returns
// 128 plus the number of the signal.
func (j job) do(stdout, stderr io.Writer) (int, error) {
	var copying sync.WaitGroup
	pipe := func(to io.Writer) (*os.File, error) {
		from, end, err := os.Pipe()
		if err == nil {
			copying.Go(func() { _, _ = io.Copy(to, from) }) // the consoles stay open to the end
		}
		return end, err
	}
	out, err := pipe(stdout)
	if err != nil {
		return 127, err
	}
	errs, err := pipe(stderr)
	if err != nil {
		return 127, err
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		return 127, err
	}
	path, err := exec.LookPath(j.Argv[0])
	if err != nil {
		return 127, err
	}
	p, err := os.StartProcess(path, j.Argv, &os.ProcAttr{
		Dir:   j.Dir,
		Files: []*os.File{null, out, errs},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return 127, err
	}
	_, _, _ = null.Close(), out.Close(), errs.Close()
	code, err := reap(p.Pid)
	// A daemon that the command has left behind may keep the output open.
	flushed := make(chan struct{})
	go func() { copying.Wait(); close(flushed) }()
	select {
	case <-flushed:
	case <-time.After(time.Second):
	}
	return code, err
}

// reap waits for a process, and collects every orphan that ends before it.
func reap(pid int) (int, error) {
	for {
		var status syscall.WaitStatus
		ended, err := syscall.Wait4(-1, &status, 0, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
		case err != nil:
			return 127, err
		case ended == pid && status.Signaled():
			return 128 + int(status.Signal()), nil
		case ended == pid:
			return status.ExitStatus(), nil
		}
	}
}
