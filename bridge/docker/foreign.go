package docker

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// kindTrouble returns a Trouble that says that this kind of daemon is not
// supported, and where it was found. It returns nil if kind is empty.
func kindTrouble(kind, where string) *Trouble {
	if kind == "" {
		return nil
	}
	return &Trouble{
		What: fmt.Sprintf("%s (%s) is not supported: gremesh leaves it and docker0 unchanged", kind, where),
		Do:   "install Docker's own packages, which run dockerd as root (Debian: apt install docker.io)",
	}
}

// places are the paths where find looks for unsupported kinds of Docker. Tests
// use other paths.
type places struct {
	socket   string
	snap     []string // directories of the snap package
	desktop  string   // directory of Docker Desktop
	rootless string   // pattern of rootless daemons' sockets
	dockerd  func() bool
}

func (d *Daemon) places() places {
	return places{
		socket:   d.engine.socket,
		snap:     []string{"/snap/docker/current", "/var/lib/snapd/snap/docker/current"},
		desktop:  "/opt/docker-desktop",
		rootless: "/run/user/*/docker.sock",
		dockerd:  Installed,
	}
}

// foreign returns a Trouble if this host has an unsupported kind of Docker and
// no dockerd. A socket that leads to Podman is reported even if a dockerd is
// installed. It returns nil otherwise. foreign connects to nothing, because
// systemd would start the program behind the socket.
func (d *Daemon) foreign() *Trouble { return d.places().find() }

func (p places) find() *Trouble {
	if to, err := filepath.EvalSymlinks(p.socket); err == nil && strings.Contains(filepath.Base(to), "podman") {
		return kindTrouble("Podman", to)
	}
	if p.dockerd() {
		return nil
	}
	for _, dir := range p.snap {
		if _, err := os.Stat(dir); err == nil {
			return kindTrouble("the snap package of Docker", dir)
		}
	}
	if _, err := os.Stat(p.desktop); err == nil {
		return kindTrouble("Docker Desktop", p.desktop)
	}
	sockets, _ := filepath.Glob(p.rootless) // the pattern is well formed
	for _, socket := range sockets {
		if info, err := os.Lstat(socket); err == nil && info.Mode().Type() == os.ModeSocket && info.Sys().(*syscall.Stat_t).Uid != 0 {
			return kindTrouble("rootless Docker", socket)
		}
	}
	return nil
}

// Present reports whether this host has a Docker that gremesh can manage,
// running or not. If the host has an unsupported kind, the error is a Trouble.
func Present(ctx context.Context, socket string) (bool, error) {
	d := New(Config{Socket: socket})
	running, err := dockerds()
	if err != nil {
		return false, err
	}
	if len(running) == 0 {
		if t := d.foreign(); t != nil {
			return false, t
		}
		return Installed(), nil
	}
	if _, err := d.ask(ctx, running); err != nil {
		return true, nil //nolint:nilerr // it is starting: the loop looks again
	}
	if t := kindTrouble(d.asked.kind, d.engine.socket); t != nil {
		return true, t
	}
	return true, nil
}

// Installed reports whether the program dockerd is in the PATH.
func Installed() bool {
	_, err := exec.LookPath("dockerd")
	return err == nil
}
