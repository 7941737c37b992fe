package process

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// kinds are the namespaces that tell a process of the host from one of a
// container or of a sandbox (namespaces(7)).
var kinds = []string{"pid", "mnt", "user"}

// namespaces are those that a process of the host may be in.
type namespaces struct {
	net  string
	host map[string][]string // by kind: PID 1's, and our own
}

// ownNamespaces reads PID 1's namespaces and our own. Ours differ from PID 1's
// if systemd has given the agent a mount namespace (PrivateTmp) or if all of a
// lab runs in one. No container can be in them. PID 1's are left out if we may
// not read them.
func ownNamespaces() (namespaces, error) {
	self, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		return namespaces{}, fmt.Errorf("read our network namespace: %w", err)
	}
	own := namespaces{net: self, host: make(map[string][]string)}
	for _, kind := range kinds {
		is, err := os.Readlink("/proc/self/ns/" + kind)
		if err != nil {
			return namespaces{}, fmt.Errorf("read our %s namespace: %w", kind, err)
		}
		own.host[kind] = []string{is}
		switch first, err := os.Readlink("/proc/1/ns/" + kind); {
		case err == nil:
			own.host[kind] = append(own.host[kind], first)
		case !errors.Is(err, fs.ErrPermission) && !Gone(err):
			return namespaces{}, fmt.Errorf("read the %s namespace of process 1: %w", kind, err)
		}
	}
	return own, nil
}

// isHosts reports whether a process is a program of that name that the host's
// root user runs in our network namespace: all its user IDs are 0, its pid,
// mount and user namespaces are the host's, and its executable has the name.
// The last excludes programs with the set-user-ID bit, such as sudo, which any
// user can start under another name.
func isHosts(dir, name string, own namespaces) (bool, error) {
	if is, err := os.Readlink(dir + "/ns/net"); err != nil || is != own.net {
		return false, err
	}
	for _, kind := range kinds {
		if is, err := os.Readlink(dir + "/ns/" + kind); err != nil || !slices.Contains(own.host[kind], is) {
			return false, err
		}
	}
	status, err := os.ReadFile(dir + "/status")
	if err != nil || !isRoots(status) {
		return false, err
	}
	exe, err := os.Readlink(dir + "/exe")
	return err == nil && filepath.Base(strings.TrimSuffix(exe, " (deleted)")) == name, err
}

// isRoots reports whether the real, effective, saved and file system user IDs
// in a /proc/PID/status are all 0 (proc_pid_status(5)).
func isRoots(status []byte) bool {
	lines := bufio.NewScanner(bytes.NewReader(status))
	for lines.Scan() {
		if ids, ok := strings.CutPrefix(lines.Text(), "Uid:"); ok {
			return slices.Equal(strings.Fields(ids), []string{"0", "0", "0", "0"})
		}
	}
	return false
}
