package testenv

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	namePrefix = "gm-"
	netnsDir   = "/run/netns"
	cgroupDir  = "/sys/fs/cgroup"
	killTime   = 20 * time.Second
)

// Remove removes the lab in dir, whatever process created it and whatever state
// it is in. It is not an error if the lab does not exist.
func Remove(dir string) error {
	name := filepath.Base(dir)
	if !filepath.IsAbs(dir) || !strings.HasPrefix(name, namePrefix) {
		return fmt.Errorf("remove lab %s: not a lab's folder", dir)
	}
	// The order matters: processes hold mounts, and mounts hold namespaces and
	// files.
	err := errors.Join(
		killAll(name, dir),
		unmountAll(name, dir),
		removeCgroups(name),
		removeShimSockets(dir),
		os.RemoveAll(dir),
	)
	if err != nil {
		return fmt.Errorf("remove lab %s: %w", name, err)
	}
	return nil
}

// killAll kills the lab's processes until none is left. It repeats, because a
// process may fork meanwhile.
func killAll(name, dir string) error {
	deadline := time.Now().Add(killTime)
	for {
		pids, err := processes(name, dir)
		if err != nil || len(pids) == 0 {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("processes %v do not die", pids)
		}
		for _, pid := range pids {
			_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended already
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// processes returns the processes of the lab. These are the processes in a
// network namespace of the lab or of one of its containers, and the processes
// in its control group. The control group finds a new container whose namespace
// nothing else knows yet. A zombie has neither.
func processes(name, dir string) ([]int, error) {
	mounts, err := labMounts(name, dir)
	if err != nil {
		return nil, err
	}
	spaces := map[string]bool{}
	for _, m := range mounts {
		spaces[m.root] = true
	}
	own, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		return nil, err
	}
	delete(spaces, own) // never kill processes in the machine's own namespace
	procs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, proc := range procs {
		space, _ := os.Readlink(proc + "/ns/net")     // fails if the process has ended
		groups, _ := os.ReadFile(proc + "/cgroup")    // the same
		pid, err := strconv.Atoi(filepath.Base(proc)) // fails if it is not a process
		inGroup := strings.Contains(string(groups), "/"+name+"/")
		if err == nil && space != "" && (spaces[space] || inGroup) {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// mount is a line of /proc/self/mountinfo, proc(5).
type mount struct {
	root  string // for a namespace: net:[4026532000]
	point string
}

// labMounts returns the mounts below the lab's folder and the lab's named
// namespaces.
func labMounts(name, dir string) ([]mount, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	var found []mount
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 5 {
			continue
		}
		m := mount{root: fields[3], point: fields[4]}
		// /run/netns may also appear as /var/run/netns.
		if strings.HasPrefix(m.point, dir+"/") || strings.Contains(m.point, "/netns/"+name+"-") {
			found = append(found, m)
		}
	}
	return found, lines.Err()
}

func unmountAll(name, dir string) error {
	mounts, err := labMounts(name, dir)
	if err != nil {
		return err
	}
	for _, m := range slices.Backward(mounts) {
		// Because of propagation, an earlier unmount may have removed a later
		// one too.
		err := syscall.Unmount(m.point, syscall.MNT_DETACH)
		if err != nil && !errors.Is(err, syscall.EINVAL) && !errors.Is(err, syscall.ENOENT) {
			return fmt.Errorf("unmount %s: %w", m.point, err)
		}
	}
	return removeGlob(filepath.Join(netnsDir, name+"-*"), os.Remove)
}

// removeCgroups removes the groups that a killed dockerd could not remove, in
// each hierarchy of version 1 and in the hierarchy of version 2.
func removeCgroups(name string) error {
	return errors.Join(
		removeGlob(filepath.Join(cgroupDir, name), removeCgroup),
		removeGlob(filepath.Join(cgroupDir, "*", name), removeCgroup),
	)
}

// removeCgroup removes a group and the groups in it. The files of a group
// cannot be removed and need not be. A group whose last process has just been
// killed is busy until the process has been reaped.
func removeCgroup(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.IsDir() {
			if err := removeCgroup(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	for deadline := time.Now().Add(killTime); ; time.Sleep(10 * time.Millisecond) {
		err := syscall.Rmdir(dir)
		if !errors.Is(err, syscall.EBUSY) || time.Now().After(deadline) {
			return err
		}
	}
}

func removeGlob(pattern string, remove func(string) error) error {
	paths, err := filepath.Glob(pattern)
	if err != nil {
		return err
	}
	var errs []error
	for _, p := range paths {
		errs = append(errs, remove(p))
	}
	return errors.Join(errs...)
}
