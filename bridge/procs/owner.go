package procs

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

// kinds are the kinds of namespaces that distinguish a process of the host from a
// process of a container or a sandbox (namespaces(7)).
var kinds = []string{"pid", "mnt", "user"}

// namespaces holds the namespaces that a process of the host may be in.
type namespaces struct {
	net  string              // our own; the process must be in it
	host map[string][]string // by kind: our own and PID 1's
}

// ownNamespaces reads our own namespaces and those of PID 1. They differ if
// systemd gives the agent its own mount namespace (PrivateTmp), or if a whole lab
// runs in one. No container can be in any of them. PID 1's namespaces are
// omitted if this process has no permission to read them.
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

// isHosts reports whether the host's root user runs a process in our network
// namespace from an executable with the given name. dir is the process's
// directory in /proc.
//
// All four user IDs of such a process are 0. Its pid, mount and user namespaces
// are the host's. Its executable has the given name. The check of the executable
// excludes programs with the set-user-ID bit, such as sudo: any user can start
// them under another name.
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

// isRoots reports whether a process belongs to root. Its real, effective, saved
// and file system user IDs in /proc/PID/status must all be 0
// (proc_pid_status(5)).
func isRoots(status []byte) bool {
	lines := bufio.NewScanner(bytes.NewReader(status))
	for lines.Scan() {
		if ids, ok := strings.CutPrefix(lines.Text(), "Uid:"); ok {
			return slices.Equal(strings.Fields(ids), []string{"0", "0", "0", "0"})
		}
	}
	return false
}
