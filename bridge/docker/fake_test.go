package docker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// traits are what a stand-in differs in; it reads them as JSON from this
// variable.
const traitsVariable = "GREMESH_TEST_DOCKERD"

type traits struct {
	Version versionAnswer
	Info    infoAnswer
	Mute    bool   // it listens and does not answer
	Rejects string // what --validate says; empty: it accepts every file
	Ignores bool   // it takes no bip from its configuration
}

// standIn answers like a dockerd that has read its configuration at its start.
func standIn(args []string) error {
	var t traits
	if text := os.Getenv(traitsVariable); text != "" {
		if err := json.Unmarshal([]byte(text), &t); err != nil {
			return err
		}
	}
	if t.Version.Version == "" {
		t.Version.Version = "20.10.24"
	}
	for _, arg := range args {
		switch arg {
		case "--version":
			fmt.Printf("Docker version %s, build 0000000\n", t.Version.Version)
			return nil
		case "--validate":
			if t.Rejects != "" {
				return errors.New(t.Rejects)
			}
			return nil
		}
	}
	path, _ := flagValue(args, "--config-file")
	network := networkAnswer{Name: defaultNetwork, ID: strings.Repeat("0", 64), Driver: "bridge", Options: map[string]string{nameOption: "docker0"}}
	config := struct{ Subnet, Gateway string }{"172.17.0.0/16", "172.17.0.1"}
	if content, err := os.ReadFile(path); err == nil && !t.Ignores {
		f, err := parse(content)
		if err != nil {
			return err
		}
		if is := f.settings(); is.Bip != "" {
			config.Gateway, _, _ = strings.Cut(is.Bip, "/")
			config.Subnet = is.Bip
		}
		if is := f.settings(); is.MTU != 0 {
			network.Options[mtuOption] = number(is.MTU)
		}
	}
	network.IPAM.Config = append(network.IPAM.Config, config)
	socket, _ := flagValue(args, "-H")
	_ = os.Remove(strings.TrimPrefix(socket, "unix://")) // of the last one
	l, err := net.Listen("unix", strings.TrimPrefix(socket, "unix://"))
	if err != nil {
		return err
	}
	answer := func(path string, with any) {
		http.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			if t.Mute {
				<-r.Context().Done()
				return
			}
			_ = json.NewEncoder(w).Encode(with) // the other end may have gone
		})
	}
	answer("/version", t.Version)
	answer("/info", t.Info)
	answer("/networks", []networkAnswer{network})
	answer("/networks/"+defaultNetwork, network)
	http.HandleFunc("/events", func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusOK)
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	return http.Serve(l, nil) //nolint:gosec // it ends with the test
}

// dockerdProgram links or copies this program under the name dockerd.
func dockerdProgram(t *testing.T) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "dockerd")
	if os.Link(self, link) == nil {
		return link
	}
	from, err := os.Open(self)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = from.Close() }()
	path := filepath.Join(t.TempDir(), "dockerd")
	to, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(to, from); err != nil {
		t.Fatal(err)
	}
	if err := to.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// start runs a stand-in for the dockerd of d, and waits until it answers.
func start(t *testing.T, d *Daemon, args ...string) *exec.Cmd {
	t.Helper()
	return startAs(t, d, traits{}, nil, args...)
}

func startAs(t *testing.T, d *Daemon, as traits, attr *syscall.SysProcAttr, args ...string) *exec.Cmd {
	t.Helper()
	return startAt(t, d.cfg.Socket, as, attr, append([]string{"--config-file", d.cfg.Path}, args...)...)
}

func startAt(t *testing.T, socket string, as traits, attr *syscall.SysProcAttr, args ...string) *exec.Cmd {
	t.Helper()
	return startProgram(t, dockerdProgram(t), socket, as, attr, args...)
}

// launch runs a stand-in and does not wait for it.
func launch(t *testing.T, path, socket string, as traits, attr *syscall.SysProcAttr, args ...string) *exec.Cmd {
	t.Helper()
	text, err := json.Marshal(as)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(traitsVariable, string(text)) // also for those that ask it for its version
	cmd := exec.CommandContext(t.Context(), path, append([]string{"-H", socket}, args...)...)
	if attr == nil {
		attr = &syscall.SysProcAttr{}
	}
	attr.Pdeathsig = syscall.SIGKILL
	cmd.SysProcAttr = attr
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil { // returns once it runs under its name
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(cmd) })
	return cmd
}

// startProgram runs a stand-in and waits until somebody answers at its socket.
func startProgram(t *testing.T, path, socket string, as traits, attr *syscall.SysProcAttr, args ...string) *exec.Cmd {
	t.Helper()
	cmd := launch(t, path, socket, as, attr, args...)
	e := newEngine(socket)
	waitFor(t, func() error {
		var version versionAnswer
		err := e.get(context.Background(), "/version", &version)
		if err != nil && (as.Mute && errors.Is(err, context.DeadlineExceeded) || strings.Contains(err.Error(), "and not root")) {
			return nil
		}
		return err
	})
	return cmd
}

func waitFor(t *testing.T, done func() error) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		err := done()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not within 10 s: %v", err)
		}
	}
}

func stop(cmd *exec.Cmd) {
	_ = cmd.Process.Kill() // it may be gone already
	_ = cmd.Wait()
}
