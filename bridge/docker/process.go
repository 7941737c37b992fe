package docker

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// process names one process for good: no other has the same three.
type process struct {
	Boot  string `json:"boot"` // /proc/sys/kernel/random/boot_id
	PID   int    `json:"pid"`
	Start uint64 `json:"start"` // clock ticks after boot, proc_pid_stat(5)
}

// dockerds are the processes named dockerd in our network namespace: one in
// another namespace has a docker0 of its own.
func dockerds() ([]process, error) {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return nil, fmt.Errorf("read the boot ID: %w", err)
	}
	self, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		return nil, fmt.Errorf("read our network namespace: %w", err)
	}
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	var all []process
	for _, path := range stats {
		b, err := os.ReadFile(path)
		if gone(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("look for dockerd: %w", err)
		}
		p, ok := parseStat(string(b))
		if !ok {
			continue
		}
		ns, err := os.Readlink(filepath.Join(filepath.Dir(path), "ns/net"))
		if gone(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("network namespace of dockerd %d: %w", p.PID, err)
		}
		if ns == self {
			p.Boot = strings.TrimSpace(string(boot))
			all = append(all, p)
		}
	}
	return all, nil
}

// conflict is an error when the process was started with a flag that dockerd
// does not start with beside one of the keys in daemon.json.
func (p process) conflict(keys []key) error {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p.PID))
	if err != nil && !gone(err) {
		return fmt.Errorf("command line of dockerd: %w", err)
	}
	for arg := range strings.SplitSeq(string(b), "\x00") {
		flag, _, _ := strings.Cut(arg, "=")
		for _, k := range keys {
			if flag == "--"+k.name || k.name == "bip" && (flag == "--bridge" || flag == "-b") {
				return fmt.Errorf("dockerd (process %d) was started with %s, and does not start with both that and %s in its configuration file: remove the flag",
					p.PID, flag, k.name)
			}
		}
	}
	return nil
}

func gone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH)
}

// parseStat reads a line of /proc/PID/stat: "PID (name) state ...", with the
// start time in field 22. It is not ok for a process that is dead or not
// named dockerd.
func parseStat(line string) (process, bool) {
	pid, rest, _ := strings.Cut(line, " (")
	name, rest, _ := strings.Cut(rest, ") ")
	fields := strings.Fields(rest) // from field 3 on
	if name != "dockerd" || len(fields) < 20 || fields[0] == "Z" || fields[0] == "X" {
		return process{}, false
	}
	n, err := strconv.Atoi(pid)
	if err != nil {
		return process{}, false
	}
	start, err := strconv.ParseUint(fields[19], 10, 64)
	return process{PID: n, Start: start}, err == nil
}
