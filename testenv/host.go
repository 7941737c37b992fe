package testenv

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Host is one of a lab's hosts.
type Host struct {
	Name string     // h1, …
	Dir  string     // its files: configuration, state, sockets, logs
	Addr netip.Addr // on the underlay

	Second netip.Addr // of its second NIC; invalid if it has none

	lab   *Lab
	index int
	agent *agent
}

func newHost(l *Lab, i int) *Host {
	name := fmt.Sprintf("h%d", i)
	h := &Host{
		Name:  name,
		Dir:   filepath.Join(l.Dir, name),
		lab:   l,
		index: i,
	}
	h.Addr = addrAt(h.nics()[0].subnet, i)
	if l.cfg.Second.IsValid() {
		h.Second = addrAt(l.cfg.Second, i)
	}
	return h
}

// addrAt returns address number i of the prefix.
func addrAt(p netip.Prefix, i int) netip.Addr {
	a := p.Masked().Addr()
	for range i {
		a = a.Next()
	}
	return a
}

// Netns returns the path of the host's network namespace.
func (h *Host) Netns() string { return netnsPath(h.lab.Name, h.Name) }

func (h *Host) path(elem ...string) string {
	return filepath.Join(append([]string{h.Dir}, elem...)...)
}

func (h *Host) up(ctx context.Context) error {
	for _, dir := range []string{h.path("ovs"), h.path("docker")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	if err := h.StartOVS(ctx); err != nil {
		return err
	}
	if err := h.WriteConfig(nil); err != nil || !h.lab.cfg.Docker {
		return err
	}
	return h.installDocker(ctx)
}

// Command returns a command that runs on the host, in its network namespace.
// ovs-vsctl and docker use the host's own daemons. gremesh is in the PATH and
// uses the host's configuration, so none of its commands affects the machine.
// Command does not use `ip netns exec`, because that would hide the control
// groups.
func (h *Host) Command(ctx context.Context, argv ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "nsenter", append([]string{"--net=" + h.Netns()}, argv...)...)
	cmd.Env = append(os.Environ(),
		"PATH="+h.lab.Dir+":"+os.Getenv("PATH"),
		"OVS_RUNDIR="+h.path("ovs"),
		"OVS_DBDIR="+h.path("ovs"),
		"OVS_LOGDIR="+h.path("ovs"),
		"GREMESH_CONFIG="+h.ConfigFile(),
		"DOCKER_HOST=unix://"+h.path("docker", "docker.sock"),
		"XTABLES_LOCKFILE="+h.path("xtables.lock"), // iptables(8); otherwise all hosts would share one lock
	)
	cmd.WaitDelay = time.Second // a daemon that the command started may keep its output open
	return cmd
}

// Exec runs a command on the host and returns its output. An error includes the
// text that the command wrote to standard error.
func (h *Host) Exec(ctx context.Context, argv ...string) (string, error) {
	out, err := output(h.Command(ctx, argv...))
	if err != nil {
		return out, fmt.Errorf("%s: %s: %w", h.Name, strings.Join(argv, " "), err)
	}
	return out, nil
}

// Ping sends one packet that must not be fragmented and waits one second for
// the answer. It sends from a container of the host, or from the host if
// container is empty. size is the length in bytes with the IP header; 0 means
// ping's default of 84.
func (h *Host) Ping(ctx context.Context, container string, to netip.Addr, size int) error {
	const headers = 28 // IPv4 and ICMP
	if size == 0 {
		size = 84
	}
	ping := []string{"ping", "-nq", "-c1", "-W1", "-Mdo", "-s" + strconv.Itoa(size-headers), to.String()}
	if container != "" {
		c, err := h.inspect(ctx, container)
		if err != nil {
			return err
		}
		ping = append([]string{"nsenter", "--net=" + c.netns()}, ping...)
	}
	if out, err := h.Exec(ctx, ping...); err != nil {
		return fmt.Errorf("%w: %s", err, strings.TrimSpace(out))
	}
	return nil
}

// output runs cmd and returns its standard output.
func output(cmd *exec.Cmd) (string, error) {
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if errors.Is(err, exec.ErrWaitDelay) {
		err = nil // the command succeeded; only its daemon still holds the pipes
	}
	if msg := strings.TrimSpace(stderr.String()); err != nil && msg != "" {
		err = fmt.Errorf("%w: %s", err, msg)
	}
	return stdout.String(), err
}

// killPidfile sends a signal to the process in a pidfile, and waits until it
// has ended. It is not an error if the process does not exist or does not
// belong to this host.
func (h *Host) killPidfile(ctx context.Context, file string, sig syscall.Signal) error {
	text, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return fmt.Errorf("read %s: %w", file, err)
	}
	if !h.runs(pid) {
		return nil
	}
	if err := syscall.Kill(pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("signal %s of %s: %w", filepath.Base(file), h.Name, err)
	}
	return Until(ctx, func() error {
		if h.runs(pid) {
			return fmt.Errorf("%s: process %d of %s still runs after %s", h.Name, pid, filepath.Base(file), sig)
		}
		return nil
	})
}

// runs reports whether a process exists in this host's namespace and is not a
// zombie. It checks all threads, because the last thread may outlive the first
// for a moment, with all files and locks.
func (h *Host) runs(pid int) bool {
	space, err := os.Stat(h.Netns())
	if err != nil {
		return false
	}
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/ns/net", pid))
	return err == nil && slices.ContainsFunc(threads, func(path string) bool {
		its, err := os.Stat(path)
		return err == nil && os.SameFile(space, its)
	})
}
