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

	// booted is said on the console of the result before the command begins;
	// after it, its exit code.
	booted = "booted"

	// insideEnv is set for whatever runs in a guest, to the name of its bed.
	insideEnv = "TESTENV_KERNEL"
)

// A program that boots guests is their first process too. Being an init, this
// cannot be forgotten in a main or a TestMain, and nothing else of it runs.
func init() {
	if file := os.Getenv(jobEnv); file != "" && os.Getpid() == 1 {
		first := guest
		if self := os.Getenv(initrdEnv); self != "" {
			first = func(string) error { return leaveInitrd(self) }
		}
		if err := first(file); err != nil {
			fmt.Fprintln(os.Stderr, "testenv kernel:", err) // console 0: the guest's last words
		}
		unix.Sync()
		err := unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
		panic(err) // and the end of the first process is the kernel's
	}
}

// guest makes a machine of the kernel and does a job.
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

// settle makes of a kernel with files a machine that Open vSwitch and Docker
// can run on.
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
		{"modprobe", "ipv6"}, // which other kernels have built in
		// With the first of GRE the kernel makes devices in every namespace: now,
		// and not when a test looks for what was left behind.
		{"modprobe", "vport-gre"},
	}
	if NFTablesIP.Missing(context.Background()) != nil {
		// iptables-nft does not work there.
		commands = append(commands,
			[]string{"ln", "-sf", "/usr/sbin/iptables-legacy", "/etc/alternatives/iptables"},
			[]string{"ln", "-sf", "/usr/sbin/ip6tables-legacy", "/etc/alternatives/ip6tables"})
	}
	for _, argv := range commands {
		if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil { //nolint:noctx // it ends with the machine
			return fmt.Errorf("%s: %w: %s", strings.Join(argv, " "), err, out)
		}
	}
	// An ovs-vswitchd of OVS 3.1 that is started before the machine has been up
	// for 10 s has no threads that handle upcalls, and never gets any (seen), as
	// if it counted no processors.
	const ready = 10200 * time.Millisecond
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return err
	}
	time.Sleep(ready - time.Duration(now.Nano()))
	return nil
}

// openConsole opens a console that hands on what is written, unchanged.
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

// do runs the command and returns its exit code as a shell does: 127 when it
// can't be started, 128 and the signal when it was killed.
func (j job) do(stdout, stderr io.Writer) (int, error) {
	var copying sync.WaitGroup
	pipe := func(to io.Writer) (*os.File, error) {
		from, end, err := os.Pipe()
		if err == nil {
			copying.Go(func() { _, _ = io.Copy(to, from) }) // the consoles are open to the end
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
	// A daemon that it left behind may hold its output.
	flushed := make(chan struct{})
	go func() { copying.Wait(); close(flushed) }()
	select {
	case <-flushed:
	case <-time.After(time.Second):
	}
	return code, err
}

// reap waits for a process, and for every orphan that ends before it.
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
