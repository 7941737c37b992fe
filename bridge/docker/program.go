package docker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/gremesh/gremesh/bridge/procs"
)

// release is the part of a version that decides which keys a dockerd knows.
type release struct{ major, minor int }

func (r release) since(first release) bool {
	return r.major > first.major || r.major == first.major && r.minor >= first.minor
}

func (r release) String() string { return fmt.Sprintf("%d.%d", r.major, r.minor) }

// installed returns the path of the dockerd that starts next. This is the
// program of the running dockerd. If none runs, it is the dockerd in the PATH.
// gremesh takes only the path from the process and executes nothing through
// /proc.
func installed(running []procs.Process) (string, error) {
	for _, p := range running {
		exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", p.PID))
		if procs.Gone(err) {
			continue
		}
		if err != nil {
			return "", fmt.Errorf("find the program of dockerd (process %d): %w", p.PID, err)
		}
		return strings.TrimSuffix(exe, " (deleted)"), nil
	}
	path, err := exec.LookPath("dockerd")
	if err != nil {
		return "", fmt.Errorf("find dockerd: %w", err)
	}
	return path, nil
}

// trusted returns an error if other users can change which program a path
// names. The file and all its directories must belong to root or to our own
// user, and nobody else may write to them. A directory with the sticky bit,
// such as /tmp, is allowed: other users cannot replace root's files in it.
func trusted(path string) error {
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	for at := path; ; at = filepath.Dir(at) {
		info, err := os.Stat(at)
		if err != nil {
			return err
		}
		owner := info.Sys().(*syscall.Stat_t).Uid
		sticky := info.IsDir() && info.Mode()&os.ModeSticky != 0
		if owner != 0 && int(owner) != os.Geteuid() || info.Mode().Perm()&0o022 != 0 && !sticky {
			return fmt.Errorf("%s is not executed: users other than root can change %s", path, at)
		}
		if at == filepath.Dir(at) {
			return nil
		}
	}
}

// program identifies a file's content. It changes when a package manager
// replaces the file.
type program struct {
	dev, inode uint64
	changed    syscall.Timespec
}

func identify(info os.FileInfo) program {
	stat := info.Sys().(*syscall.Stat_t)
	return program{stat.Dev, stat.Ino, stat.Mtim}
}

const versionTimeout = 5 * time.Second

// version asks an installed dockerd for its version, once per program. It
// executes no program that other users can change (trusted).
func (d *Daemon) version(ctx context.Context, path string) (release, error) {
	info, err := os.Stat(path)
	if err != nil {
		return release{}, fmt.Errorf("version of dockerd: %w", err)
	}
	id := identify(info)
	if known, ok := d.versions[id]; ok {
		return known, nil
	}
	if err := trusted(path); err != nil {
		return release{}, fmt.Errorf("version of dockerd: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, versionTimeout)
	defer cancel()
	out, err := exec.CommandContext(ctx, path, "--version").Output()
	if err != nil {
		return release{}, fmt.Errorf("version of dockerd: %s --version: %w", path, err)
	}
	is, err := parseVersion(string(out))
	if err != nil {
		return release{}, err
	}
	d.versions[id] = is
	return is, nil
}

var (
	versionWord = regexp.MustCompile(`^Docker version (\S+?),`)
	releaseWord = regexp.MustCompile(`^v?(\d+)\.(\d+)\.`)
)

// parseVersion parses a line such as "Docker version 28.2.0, build 879ac3f".
func parseVersion(line string) (release, error) {
	if m := versionWord.FindStringSubmatch(line); m != nil {
		if is, err := parseRelease(m[1]); err == nil {
			return is, nil
		}
	}
	return release{}, fmt.Errorf("version of dockerd: %.80q says none", strings.TrimSpace(line))
}

// parseRelease parses a version such as "28.2.0", "v29.0.0-rc.1" or
// "20.10.24+dfsg1".
func parseRelease(text string) (release, error) {
	m := releaseWord.FindStringSubmatch(text)
	if m == nil {
		return release{}, fmt.Errorf("version of dockerd: %.80q has no number", text)
	}
	major, err1 := strconv.Atoi(m[1])
	minor, err2 := strconv.Atoi(m[2])
	return release{major, minor}, errors.Join(err1, err2)
}
