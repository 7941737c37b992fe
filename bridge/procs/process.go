package procs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Process identifies one process uniquely and permanently: no other process has
// the same three values.
type Process struct {
	Boot  string `json:"boot"` // /proc/sys/kernel/random/boot_id
	PID   int    `json:"pid"`
	Start uint64 `json:"start"` // clock ticks after boot, proc_pid_stat(5)
}

// tick is the unit of Start. sysconf(_SC_CLK_TCK) is 100 per second on every
// Linux platform that Go supports.
const tick = 10 * time.Millisecond

// Find returns the processes that run a program with one of the names, grouped by
// name. Both comm (proc_pid_stat(5): at most 15 bytes) and the base name of the
// executable must equal the name. A name without a process is missing in the map.
//
// Find returns only processes in our network namespace that belong to the host's
// root user (see isHosts). Any user can start a process with any name, so the
// name alone proves nothing.
func Find(names ...string) (map[string][]Process, error) {
	boot, err := bootID()
	if err != nil {
		return nil, err
	}
	own, err := ownNamespaces()
	if err != nil {
		return nil, err
	}
	dirs, err := named(names)
	if err != nil {
		return nil, fmt.Errorf("look for %s: %w", strings.Join(names, ", "), err)
	}
	found := make(map[string][]Process)
	for _, dir := range dirs {
		name, p, err := judge(dir, names, own)
		switch {
		case Gone(err):
		case err != nil:
			return nil, fmt.Errorf("look for %s: %w", strings.Join(names, ", "), err)
		case p.PID != 0:
			p.Boot = boot
			found[name] = append(found[name], p)
		}
	}
	return found, nil
}

// judge returns the name and identity of the process whose directory in /proc is
// dir. It returns the zero Process if the process has none of the names or fails
// isHosts. It reads the identity before and after all other checks. Otherwise it
// could mix two processes, because another process may have reused the PID.
func judge(dir string, names []string, own namespaces) (name string, p Process, err error) {
	name, p, err = identify(dir)
	if err != nil || !slices.Contains(names, name) {
		return name, Process{}, err
	}
	ok, err := isHosts(dir, name, own)
	if err != nil || !ok {
		return name, Process{}, err
	}
	_, again, err := identify(dir)
	if err != nil || again != p {
		return name, Process{}, err
	}
	return name, p, nil
}

// identify reads a process's name and identity. It returns zero values for a
// dead process.
func identify(dir string) (name string, p Process, err error) {
	b, err := os.ReadFile(dir + "/stat")
	if err != nil {
		return "", Process{}, err
	}
	name, p, _ = parseStat(string(b))
	return name, p, nil
}

// named returns the directories in /proc of the processes that have one of the
// names. It examines every process of the machine, and it is called often. It
// therefore reads only comm of each process, with three system calls.
func named(names []string) (dirs []string, err error) {
	proc, err := os.Open("/proc")
	if err != nil {
		return nil, err
	}
	pids, err := proc.Readdirnames(-1)
	if err := errors.Join(err, proc.Close()); err != nil {
		return nil, err
	}
	buffer := make([]byte, 64)
	for _, pid := range pids {
		if pid[0] < '0' || pid[0] > '9' {
			continue
		}
		dir := "/proc/" + pid
		comm, err := readInto(buffer, dir+"/comm")
		if Gone(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if slices.Contains(names, strings.TrimSuffix(string(comm), "\n")) {
			dirs = append(dirs, dir)
		}
	}
	return dirs, nil
}

// readInto reads the start of a file, at most as many bytes as the buffer holds.
// It returns the part of the buffer that it filled.
func readInto(buffer []byte, path string) ([]byte, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	n, err := unix.Read(fd, buffer)
	if err := errors.Join(err, unix.Close(fd)); err != nil {
		return nil, &fs.PathError{Op: "read", Path: path, Err: err}
	}
	return buffer[:n], nil
}

// Ages returns how long the youngest process of each name has been running. A
// name without a process is missing in the map.
func Ages(names ...string) (map[string]time.Duration, error) {
	found, err := Find(names...)
	if err != nil {
		return nil, err
	}
	ages := make(map[string]time.Duration)
	for name, processes := range found {
		for _, p := range processes {
			age, err := p.Age()
			if err != nil {
				return nil, err
			}
			if youngest, known := ages[name]; !known || age < youngest {
				ages[name] = age
			}
		}
	}
	return ages, nil
}

// Age returns the time since the process started, even if it has ended.
// Time during suspend counts (CLOCK_BOOTTIME).
func (p Process) Age() (time.Duration, error) {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &now); err != nil {
		return 0, fmt.Errorf("read the time since boot: %w", err)
	}
	return time.Duration(now.Nano()) - time.Duration(p.Start)*tick, nil
}

// Gone reports whether an error means that a process has ended.
func Gone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH)
}

// parseStat reads a line of /proc/PID/stat (proc_pid_stat(5)): "PID (name)
// state ...", with the start time in field 22. It returns false if the process is
// dead or the line is malformed.
func parseStat(line string) (name string, p Process, ok bool) {
	pid, rest, _ := strings.Cut(line, " (")
	end := strings.LastIndex(rest, ") ") // the last one, because a name may contain ") "
	if end < 0 {
		return "", Process{}, false
	}
	name, rest = rest[:end], rest[end+2:]
	fields := strings.Fields(rest) // fields 3 and later of the line
	if len(fields) < 20 || fields[0] == "Z" || fields[0] == "X" {
		return "", Process{}, false
	}
	n, err := strconv.Atoi(pid)
	if err != nil {
		return "", Process{}, false
	}
	start, err := strconv.ParseUint(fields[19], 10, 64)
	return name, Process{PID: n, Start: start}, err == nil
}
