package docker

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gremesh/gremesh/bridge/procs"
)

// futile returns the reason why Docker would not use the bip even after a
// restart. It returns nil if a restart would work. gremesh asks this before it
// restarts Docker, because a restart stops containers.
func (d *Daemon) futile(ctx context.Context, running []procs.Process, now Values) (*Trouble, error) {
	for _, p := range running {
		if err := conflict(p, []key{{"bip", quoted(now.Bip)}, {"mtu", number(now.MTU)}}); err != nil {
			return &Trouble{What: err.Error() + ": Docker is not restarted", Do: "remove the flag from dockerd's command line (systemctl edit docker)"}, nil
		}
	}
	content, _, err := d.read()
	if err != nil {
		return nil, err
	}
	if t, err := d.rejected(ctx, running, content); t != nil || err != nil {
		return t, err
	}
	if len(running) > 0 {
		var info infoAnswer
		if err := d.engine.get(ctx, "/info", &info); err != nil {
			return nil, err
		}
		d.asked.keeps = info.LiveRestoreEnabled && info.ContainersRunning > 0
	}
	if !d.asked.keeps {
		return nil, nil
	}
	// Source: moby, daemon/daemon_unix.go: "There are old running containers,
	// the network config will not take affect".
	return &Trouble{
		What: fmt.Sprintf("Docker keeps containers running while it restarts (live-restore), and then ignores the bip %s: docker0 stays as Docker has it (%s), and the containers of this host are not in the mesh",
			now.Bip, d.asked.network),
		Do: "stop all containers of this host (docker stop $(docker ps -q)); then gremesh restarts Docker, and they can be started again",
	}, nil
}

// writable returns an error if dockerd would not start with the content that is
// about to be written. It also returns one if dockerd reads another file.
func (d *Daemon) writable(ctx context.Context, running []procs.Process, keys []key, content []byte) error {
	for _, p := range running {
		if err := conflict(p, keys); err != nil {
			return &Trouble{What: err.Error(), Do: "remove the flag from dockerd's command line (systemctl edit docker)"}
		}
	}
	t, err := d.misread(running)
	if t == nil && err == nil {
		t, err = d.rejected(ctx, running, content)
	}
	if t != nil {
		return t
	}
	return err
}

// defaultFile is the file that dockerd reads without the flag --config-file
// (dockerd(8)).
const defaultFile = "/etc/docker/daemon.json"

// misread returns a Trouble if a running dockerd reads another file than ours.
func (d *Daemon) misread(running []procs.Process) (*Trouble, error) {
	for _, p := range running {
		args, err := arguments(p)
		if err != nil {
			return nil, err
		}
		if len(args) == 0 { // the process has ended
			continue
		}
		reads := defaultFile
		if given, ok := flagValue(args, "--config-file"); ok {
			reads = given
		}
		if !filepath.IsAbs(reads) {
			dir, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", p.PID))
			if err != nil && !procs.Gone(err) {
				return nil, fmt.Errorf("find dockerd's configuration: %w", err)
			}
			reads = filepath.Join(dir, reads)
		}
		if !sameFile(reads, d.cfg.Path) {
			return &Trouble{
				What: fmt.Sprintf("dockerd (process %d) reads %s, and docker.daemon_json is %s: no bip is written, and docker0 stays as Docker has it", p.PID, reads, d.cfg.Path),
				Do:   fmt.Sprintf("set docker.daemon_json: %s in gremesh.yaml, and restart the agent", reads),
			}, nil
		}
	}
	return nil, nil
}

// sameFile reports whether two paths name the same file. It follows links. The
// file need not exist.
func sameFile(a, b string) bool {
	if filepath.Clean(a) == filepath.Clean(b) {
		return true
	}
	first, err1 := target(a)
	second, err2 := target(b)
	return err1 == nil && err2 == nil && filepath.Clean(first) == filepath.Clean(second)
}

// arguments returns the command line of a process. It returns none if the
// process has ended.
func arguments(p procs.Process) ([]string, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p.PID))
	if err != nil && !procs.Gone(err) {
		return nil, fmt.Errorf("command line of dockerd: %w", err)
	}
	return strings.FieldsFunc(string(b), func(c rune) bool { return c == 0 }), nil
}

// flagValue returns the last value of a flag, given as "--name=value" or
// "--name value". It returns false if the flag is not there.
func flagValue(args []string, name string) (value string, ok bool) {
	for i, arg := range slices.All(args) {
		flag, is, whole := strings.Cut(arg, "=")
		switch {
		case flag != name:
		case whole:
			value, ok = is, true
		case i+1 < len(args):
			value, ok = args[i+1], true
		}
	}
	return value, ok
}
