package testenv

import (
	"archive/tar"
	"bytes"
	"context"
	_ "embed"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
)

// Image is the only image of each host's dockerd: a busybox that sleeps.
const Image = "busybox"

// FlagsVariable is the environment variable with further flags for each lab's
// dockerds. Unlike a key of daemon.json, a flag stays when a test writes that
// file.
const FlagsVariable = "TESTENV_DOCKERD_FLAGS"

//go:embed docker.sh
var dockerScript []byte

// containerdConfig is the configuration of containerd. Its argument is the
// folder of the host's Docker. The disabled plugin is CRI, which only
// Kubernetes uses.
const containerdConfig = `version = 2
root = "%[1]s/containerd/root"
state = "%[1]s/containerd/state"
disabled_plugins = ["io.containerd.grpc.v1.cri"]

[grpc]
address = "%[1]s/containerd.sock"
`

// DaemonJSON returns the path of the configuration of the host's dockerd.
func (h *Host) DaemonJSON() string { return h.path("daemon.json") }

// DockerSocket returns the address of the host's dockerd: "unix://PATH".
func (h *Host) DockerSocket() string { return "unix://" + h.path("docker", "docker.sock") }

// DockerScript returns the path of a script that takes start, stop, restart,
// reload or kill. The script returns when the action is complete.
func (h *Host) DockerScript() string { return h.path("docker.sh") }

// installDocker writes the files that dockerd needs, starts dockerd and imports
// the image.
func (h *Host) installDocker(ctx context.Context) error {
	if err := os.WriteFile(h.DockerScript(), dockerScript, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(h.path("docker", "flags"), []byte(os.Getenv(FlagsVariable)), 0o644); err != nil {
		return err
	}
	conf := fmt.Sprintf(containerdConfig, h.path("docker"))
	if err := os.WriteFile(h.path("docker", "containerd.toml"), []byte(conf), 0o644); err != nil {
		return err
	}
	if err := os.WriteFile(h.DaemonJSON(), []byte("{}\n"), 0o644); err != nil {
		return err
	}
	if err := h.StartDocker(ctx); err != nil {
		return err
	}
	image, err := busyboxImage(ctx)
	if err != nil {
		return fmt.Errorf("make the image %s: %w", Image, err)
	}
	cmd := h.Command(ctx, "docker", "import", "--change", `CMD ["tail", "-f", "/dev/null"]`, "-", Image)
	cmd.Stdin = bytes.NewReader(image)
	if _, err := output(cmd); err != nil {
		return fmt.Errorf("%s: docker import: %w", h.Name, err)
	}
	return nil
}

// busyboxImage returns a tar archive of the machine's static busybox and its
// applets.
func busyboxImage(ctx context.Context) ([]byte, error) {
	path, err := exec.LookPath("busybox")
	if err != nil {
		return nil, err
	}
	binary, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	applets, err := output(exec.CommandContext(ctx, path, "--list"))
	if err != nil {
		return nil, err
	}
	var image bytes.Buffer
	w := tar.NewWriter(&image)
	headers := []*tar.Header{
		{Name: "bin/", Typeflag: tar.TypeDir, Mode: 0o755},
		{Name: "tmp/", Typeflag: tar.TypeDir, Mode: 0o1777},
		{Name: "bin/busybox", Typeflag: tar.TypeReg, Mode: 0o755, Size: int64(len(binary))},
	}
	for _, applet := range strings.Fields(applets) {
		if applet != "busybox" {
			headers = append(headers, &tar.Header{Name: "bin/" + applet, Typeflag: tar.TypeSymlink, Linkname: "busybox", Mode: 0o777})
		}
	}
	for _, header := range headers {
		if err := w.WriteHeader(header); err != nil {
			return nil, err
		}
		if header.Typeflag == tar.TypeReg {
			if _, err := w.Write(binary); err != nil {
				return nil, err
			}
		}
	}
	return image.Bytes(), w.Close()
}

// StartDocker starts dockerd and waits until it answers.
func (h *Host) StartDocker(ctx context.Context) error { return h.docker(ctx, "start") }

// StopDocker stops dockerd and its containers.
func (h *Host) StopDocker(ctx context.Context) error { return h.docker(ctx, "stop") }

// KillDocker kills dockerd, as a crash does. The containers keep running.
func (h *Host) KillDocker(ctx context.Context) error { return h.docker(ctx, "kill") }

// RestartDocker stops and starts dockerd, as the agent does.
func (h *Host) RestartDocker(ctx context.Context) error { return h.docker(ctx, "restart") }

// ReloadDocker makes dockerd read again the keys of daemon.json that need no
// restart, such as live-restore.
func (h *Host) ReloadDocker(ctx context.Context) error { return h.docker(ctx, "reload") }

func (h *Host) docker(ctx context.Context, verb string) error {
	_, err := h.Exec(ctx, h.DockerScript(), verb)
	return err
}

// RunContainer starts a container of Image with further options of docker run,
// and returns its address. The container sleeps, and it obeys a stop at once.
func (h *Host) RunContainer(ctx context.Context, name string, options ...string) (netip.Addr, error) {
	argv := append([]string{"docker", "run", "-d", "--name", name, "--hostname", name, "--stop-signal", "KILL"}, options...)
	if _, err := h.Exec(ctx, append(argv, Image)...); err != nil {
		return netip.Addr{}, err
	}
	return h.ContainerAddr(ctx, name)
}

// ContainerAddr returns the address of a running container. The address may
// change when dockerd restarts.
func (h *Host) ContainerAddr(ctx context.Context, name string) (netip.Addr, error) {
	c, err := h.inspect(ctx, name)
	return c.addr, err
}
