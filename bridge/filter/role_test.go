package filter

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// role is what a process of this test binary is, other than the tests in the
// network namespace that they begin in.
const role = "GREMESH_MASQ_TEST_ROLE"

// TestMain runs the tests in a fresh network namespace, which is the host of
// the lab: setns is per thread, so one process must not hop between them.
func TestMain(m *testing.M) {
	switch os.Getenv(role) {
	case "mirror":
		exitOn(mirror())
	case "ask":
		exitOn(ask(os.Args[1], os.Args[2], os.Args[3]))
	case "forge":
		exitOn(forge(os.Args[1:]))
	case "load":
		exitOn(load(os.Args[1:]))
	case "tests":
		goleak.VerifyTestMain(m)
	}
	if os.Getuid() != 0 {
		os.Exit(m.Run())
	}
	cmd := exec.CommandContext(context.Background(), "/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), role+"=tests")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		os.Exit(max(1, exit.ExitCode()))
	}
	exitOn(err)
}

func exitOn(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

const mirrorPort = "7777"

// mirror answers everyone with the address that it sees him by.
func mirror() error {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return err
	}
	ended := make(chan error)
	for _, a := range addrs {
		ip := a.(*net.IPNet).IP
		if ip.To4() == nil {
			continue
		}
		// A socket for each, so that the answer comes from where the question
		// went.
		udp, err := net.ListenPacket("udp4", net.JoinHostPort(ip.String(), mirrorPort))
		if err != nil {
			return err
		}
		go func() {
			buffer := make([]byte, 100)
			for {
				_, from, err := udp.ReadFrom(buffer)
				if err != nil {
					ended <- err
					return
				}
				_, _ = udp.WriteTo([]byte(host(from)), from)
			}
		}()
	}
	tcp, err := net.Listen("tcp4", ":"+mirrorPort)
	if err != nil {
		return err
	}
	go func() {
		for {
			c, err := tcp.Accept()
			if err != nil {
				return
			}
			_, _ = c.Write([]byte(host(c.RemoteAddr())))
			_ = c.Close()
		}
	}()
	fmt.Println("ready")
	return <-ended
}

func host(a net.Addr) string {
	h, _, _ := net.SplitHostPort(a.String())
	return h
}

// seenAs makes a new connection to the mirror at addr, and returns the address
// that it sees us by.
func seenAs(network, port, addr string) (string, error) {
	dialer := net.Dialer{Timeout: time.Second}
	if port != "" && port != "0" {
		local, err := net.ResolveUDPAddr("udp4", ":"+port)
		if err != nil {
			return "", err
		}
		dialer.LocalAddr = local
	}
	c, err := dialer.Dial(network, net.JoinHostPort(addr, mirrorPort))
	if err != nil {
		return "", err
	}
	defer c.Close() //nolint:errcheck // nothing was written that matters
	_ = c.SetDeadline(time.Now().Add(time.Second))
	if network == "udp4" {
		if _, err := c.Write([]byte("?")); err != nil {
			return "", err
		}
	}
	buffer := make([]byte, 100)
	n, err := c.Read(buffer)
	return string(buffer[:n]), err
}

func ask(network, port, addr string) error {
	is, err := seenAs(network, port, addr)
	if err == nil {
		fmt.Print(is)
	}
	return err
}

// load makes new connections to all addresses until its input ends, and then
// prints how many of them were seen as what.
func load(addrs []string) error {
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = bufio.NewReader(os.Stdin).ReadByte()
	}()
	counts := map[string]int{}
	fmt.Println("ready")
	for {
		for _, addr := range addrs {
			for _, network := range []string{"udp4", "tcp4"} {
				is, err := seenAs(network, "", addr)
				if err != nil {
					is = "lost: " + err.Error()
				}
				counts[addr+" "+network+" "+is]++
			}
		}
		select {
		case <-done:
			return json.NewEncoder(os.Stdout).Encode(counts)
		default:
		}
	}
}
