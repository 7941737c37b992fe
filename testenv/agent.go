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

// agent is a running gremesh agent.
type agent struct {
	process *os.Process
	ended   chan struct{} // closed when err is set
	err     error         // the result of the process
}

// ConfigFile returns the path of the configuration that StartAgent passes to
// gremesh.
func (h *Host) ConfigFile() string { return h.path("gremesh.yaml") }

// control returns the path of the control socket of the host's agent.
func (h *Host) control() string { return h.path("gremesh.sock") }

// WriteConfig writes the host's gremesh.yaml. It starts with the lab's
// settings, and then applies the given settings by dotted key, such as
// `"mesh.bootstrap": true`. A nil value removes the key. The lab's settings
// contain neither mesh.join nor mesh.bootstrap.
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

// Build builds gremesh into dir, with the race detector, and returns its path.
// Tests that create several labs build it once and name it in their Configs.
func Build(ctx context.Context, dir string) (string, error) {
	bin := filepath.Join(dir, "gremesh")
	cmd := exec.CommandContext(ctx, "go", "build", "-race", "-o", bin, "github.com/gremesh/gremesh/cmd/gremesh")
	if _, err := output(cmd); err != nil {
		return "", fmt.Errorf("build gremesh: %w", err)
	}
	return bin, nil
}

// binary returns the path of the gremesh that the lab's hosts run, and builds
// it if necessary. The hosts have it in their PATH.
func (l *Lab) binary(ctx context.Context) (string, error) {
	l.build.Do(func() {
		if _, err := os.Stat(filepath.Join(l.Dir, "gremesh")); err != nil {
			_, l.buildErr = Build(ctx, l.Dir)
		}
	})
	return filepath.Join(l.Dir, "gremesh"), l.buildErr
}

// linkBinary links the gremesh of the Config into the lab's folder, which is in
// the hosts' PATH.
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

// StartAgent starts `gremesh agent` with further arguments. It does not wait
// until the agent is ready.
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
	// The end of the context must not stop the agent, and a Ctrl-C at the
	// owner's terminal must not either. StopAgent stops it.
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

// StopAgent sends a signal to the agent and waits until it ends. It returns an
// error if the exit code is not 0.
func (h *Host) StopAgent(ctx context.Context, sig syscall.Signal) error {
	if h.agent == nil {
		return fmt.Errorf("stop the agent of %s: it does not run", h.Name)
	}
	if err := h.agent.process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop the agent of %s: %w", h.Name, err)
	}
	return h.WaitAgent(ctx)
}

// KillAgent kills the agent, as a crash does.
func (h *Host) KillAgent(ctx context.Context) error {
	err := h.StopAgent(ctx, syscall.SIGKILL)
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signaled() {
		return nil
	}
	return err
}

// WaitAgent waits until the agent ends by itself. It returns an error if the
// exit code is not 0. Afterwards the agent can be started again.
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

// reap waits for the end of an agent that the removal of the lab has killed.
func (h *Host) reap() {
	if h.agent != nil {
		<-h.agent.ended
		h.agent = nil
	}
}

// AgentPID returns the process ID of the running agent.
func (h *Host) AgentPID() (int, error) {
	if h.agent == nil {
		return 0, fmt.Errorf("the agent of %s does not run", h.Name)
	}
	return h.agent.process.Pid, nil
}

// AgentLog returns the whole output of the host's agents.
func (h *Host) AgentLog() (string, error) {
	text, err := os.ReadFile(h.path("agent.log"))
	return string(text), err
}

// Gremesh runs a gremesh command with the host's configuration.
func (h *Host) Gremesh(ctx context.Context, argv ...string) (string, error) {
	bin, err := h.lab.binary(ctx)
	if err != nil {
		return "", err
	}
	return h.Exec(ctx, append(append([]string{bin}, argv...), "--config", h.ConfigFile())...)
}

// Status asks the host's agent for its status, as `gremesh status -o json`
// does.
func (h *Host) Status(ctx context.Context) (mesh.Status, error) {
	var s mesh.Status
	if err := get(ctx, h.control(), "/v1/status", &s); err != nil {
		return mesh.Status{}, fmt.Errorf("%s: ask the agent: %w", h.Name, err)
	}
	return s, nil
}
