package testenv

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"go.yaml.in/yaml/v3"

	"github.com/gremesh/gremesh/mesh"
)

// agent is a running gremesh.
type agent struct {
	process *os.Process
	ended   chan struct{} // closed when err is set
	err     error         // of its end
}

// ConfigFile is the configuration that StartAgent hands to gremesh.
func (h *Host) ConfigFile() string { return h.path("gremesh.yaml") }

// control is where the host's agent answers.
func (h *Host) control() string { return h.path("gremesh.sock") }

// WriteConfig writes the host's gremesh.yaml: the lab's settings and, over
// them, those given, by dotted key (`"mesh.bootstrap": true`; nil: no such key). Join and
// bootstrap are not among the lab's.
func (h *Host) WriteConfig(settings map[string]any) error {
	all := map[string]any{
		"node.name":          h.Name,
		"node.advertise":     h.Addr.String(),
		"mesh.key_file":      h.lab.KeyFile(),
		"pool":               h.lab.cfg.Pool.String(),
		"prefix":             h.lab.cfg.Prefix,
		"ovs.db":             h.DB(),
		"ovs.datapath":       h.lab.cfg.Datapath,
		"docker.socket":      h.DockerSocket(),
		"docker.daemon_json": h.DaemonJSON(),
		"docker.restart":     "never",
		"state_dir":          h.path("state"),
		"control":            h.control(),
	}
	if h.lab.cfg.Docker {
		all["docker.restart"] = []string{h.DockerScript(), "restart"}
	}
	for key, value := range settings {
		if all[key] = value; value == nil {
			delete(all, key)
		}
	}
	tree := map[string]any{}
	for key, value := range all {
		section, name, nested := strings.Cut(key, ".")
		if !nested {
			tree[key] = value
			continue
		}
		if tree[section] == nil {
			tree[section] = map[string]any{}
		}
		tree[section].(map[string]any)[name] = value
	}
	text, err := yaml.Marshal(tree)
	if err != nil {
		return fmt.Errorf("%s: write configuration: %w", h.Name, err)
	}
	return os.WriteFile(h.ConfigFile(), text, 0o600)
}

// Build builds gremesh, with the race detector, into dir and returns its path.
// Tests that make several labs build it once, and name it in their Configs.
func Build(ctx context.Context, dir string) (string, error) {
	bin := filepath.Join(dir, "gremesh")
	cmd := exec.CommandContext(ctx, "go", "build", "-race", "-o", bin, "github.com/gremesh/gremesh/cmd/gremesh")
	if _, err := output(cmd); err != nil {
		return "", fmt.Errorf("build gremesh: %w", err)
	}
	return bin, nil
}

// binary is the gremesh that the lab's hosts run. It is in their path.
func (l *Lab) binary(ctx context.Context) (string, error) {
	l.build.Do(func() {
		if _, err := os.Stat(filepath.Join(l.Dir, "gremesh")); err != nil {
			_, l.buildErr = Build(ctx, l.Dir)
		}
	})
	return filepath.Join(l.Dir, "gremesh"), l.buildErr
}

// linkBinary puts the Config's gremesh into the hosts' path.
func (l *Lab) linkBinary() error {
	if l.cfg.Binary == "" {
		return nil
	}
	bin, err := filepath.Abs(l.cfg.Binary)
	if err != nil {
		return err
	}
	return os.Symlink(bin, filepath.Join(l.Dir, "gremesh"))
}

// StartAgent starts `gremesh agent`, with further arguments, and does not wait
// until it is ready.
func (h *Host) StartAgent(ctx context.Context, argv ...string) error {
	if h.agent != nil {
		return fmt.Errorf("start the agent of %s: it has been started", h.Name)
	}
	bin, err := h.lab.binary(ctx)
	if err != nil {
		return err
	}
	log, err := os.OpenFile(h.path("agent.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	// The agent is stopped by name, not by the end of a context, and not by a
	// ^C at its owner's terminal.
	argv = append([]string{bin, "agent", "--config", h.ConfigFile()}, argv...)
	cmd := h.Command(context.WithoutCancel(ctx), argv...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start the agent of %s: %w", h.Name, err)
	}
	a := &agent{process: cmd.Process, ended: make(chan struct{})}
	go func() {
		a.err = cmd.Wait()
		close(a.ended)
	}()
	h.agent = a
	return nil
}

// StopAgent sends the agent a signal and waits for its end. The error is the
// agent's exit, if not 0.
func (h *Host) StopAgent(ctx context.Context, sig syscall.Signal) error {
	if h.agent == nil {
		return fmt.Errorf("stop the agent of %s: it does not run", h.Name)
	}
	if err := h.agent.process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop the agent of %s: %w", h.Name, err)
	}
	return h.WaitAgent(ctx)
}

// KillAgent kills the agent as a crash does.
func (h *Host) KillAgent(ctx context.Context) error {
	err := h.StopAgent(ctx, syscall.SIGKILL)
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signaled() {
		return nil
	}
	return err
}

// WaitAgent waits for the agent to end by itself; the error is its exit, if
// not 0. It can be started again thereafter.
func (h *Host) WaitAgent(ctx context.Context) error {
	if h.agent == nil {
		return fmt.Errorf("wait for the agent of %s: it does not run", h.Name)
	}
	select {
	case <-h.agent.ended:
	case <-ctx.Done():
		return fmt.Errorf("wait for the end of the agent of %s: %w", h.Name, context.Cause(ctx))
	}
	err := h.agent.err
	h.agent = nil
	if err != nil {
		return fmt.Errorf("agent of %s: %w", h.Name, err)
	}
	return nil
}

// reap waits for an agent that the end of the lab has killed.
func (h *Host) reap() {
	if h.agent != nil {
		<-h.agent.ended
		h.agent = nil
	}
}

// AgentPID is the process of the running agent.
func (h *Host) AgentPID() (int, error) {
	if h.agent == nil {
		return 0, fmt.Errorf("the agent of %s does not run", h.Name)
	}
	return h.agent.process.Pid, nil
}

// AgentLog is all that the host's agents have printed.
func (h *Host) AgentLog() (string, error) {
	text, err := os.ReadFile(h.path("agent.log"))
	return string(text), err
}

// Gremesh runs a command of gremesh with the host's configuration.
func (h *Host) Gremesh(ctx context.Context, argv ...string) (string, error) {
	bin, err := h.lab.binary(ctx)
	if err != nil {
		return "", err
	}
	return h.Exec(ctx, append(append([]string{bin}, argv...), "--config", h.ConfigFile())...)
}

// Status asks the host's agent, as `gremesh status -o json` does.
func (h *Host) Status(ctx context.Context) (mesh.Status, error) {
	var s mesh.Status
	if err := get(ctx, h.control(), "/v1/status", &s); err != nil {
		return mesh.Status{}, fmt.Errorf("%s: ask the agent: %w", h.Name, err)
	}
	return s, nil
}
