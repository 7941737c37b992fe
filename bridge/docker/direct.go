package docker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/gremesh/gremesh/bridge/process"
)

// directKey has dockerd pass packets that other hosts route to a container's
// own address. It is of Docker 28.2 (moby pull request 49832); an older dockerd
// does not start with a key that it does not know.
const directKey = "allow-direct-routing"

// rawEnv, set to 1 in dockerd's environment, does the same, from Docker 28.0.2
// on (moby pull request 49621), unless nftables is its firewall backend.
const rawEnv = "DOCKER_INSECURE_NO_IPTABLES_RAW"

// release is what of a version says how dockerd treats such packets.
type release struct{ major, minor int }

var (
	firstToDrop = release{28, 0} // by a rule per container, in table raw
	firstToObey = release{28, 2} // directKey
)

func (r release) since(first release) bool {
	return r.major > first.major || r.major == first.major && r.minor >= first.minor
}

func (r release) String() string { return fmt.Sprintf("%d.%d", r.major, r.minor) }

// judgement is all that tells whether Docker lets packets through to containers
// that have come by the NIC, without a tunnel.
type judgement struct {
	next     release // of the dockerd that starts next; zero: not known
	running  release // of the one that runs; next where none does
	option   bool    // the running one's command line has directKey as a flag
	noRaw    bool    // its environment has rawEnv
	key      bool    // daemon.json has directKey, and true
	unread   bool    // the running one has started without
	nftables bool    // the firewall backend is nftables
}

// obstacle is why Docker does not let them through; empty: it does.
func (j judgement) obstacle() string {
	switch {
	case j.nftables && !j.running.since(firstToDrop):
		return ""
	case j.nftables:
		return "Docker's firewall backend is nftables, which drops them whatever other rules say: use iptables (firewall-backend)"
	case !j.running.since(firstToDrop), j.noRaw, j.option:
		return ""
	case !j.running.since(firstToObey):
		return fmt.Sprintf("Docker %s drops them: use 28.2 or later; or, from 28.0.2 on, start dockerd with %s=1 in its environment", j.running, rawEnv)
	case !j.key:
		return "daemon.json has no " + directKey + ": true"
	case j.unread:
		return "dockerd was started without " + directKey + ": restart Docker"
	}
	return ""
}

// takes tells whether daemon.json may have directKey.
func (j judgement) takes() bool { return j.next.since(firstToObey) && !j.option }

// refuses tells whether dockerd would not start with it.
func (j judgement) refuses() bool { return j.next != (release{}) && !j.takes() }

// judge looks at the dockerds. A version that can't be known is an error.
func (d *Daemon) judge(ctx context.Context, running, unread []process.Process, f file) (judgement, error) {
	j := judgement{key: f.settings().Direct == "true", nftables: f.text("firewall-backend") == "nftables"}
	path, err := exec.LookPath("dockerd")
	found := false
	for _, p := range running {
		proc := fmt.Sprintf("/proc/%d/", p.PID)
		exe, readErr := os.Readlink(proc + "exe")
		if process.Gone(readErr) {
			continue
		}
		if readErr != nil {
			return j, fmt.Errorf("find the program of dockerd (process %d): %w", p.PID, readErr)
		}
		path, err = strings.TrimSuffix(exe, " (deleted)"), nil
		is, err := d.version(ctx, proc+"exe")
		if process.Gone(err) {
			continue
		}
		if err != nil {
			return j, err
		}
		words, err := zeroed(proc+"cmdline", proc+"environ")
		if err != nil {
			return j, err
		}
		// With several, which one has docker0 is not known: all must agree.
		option := slices.Contains(words, "--"+directKey) || slices.Contains(words, "--"+directKey+"=true")
		noRaw := slices.Contains(words, rawEnv+"=1")
		j.option, j.noRaw = option && (!found || j.option), noRaw && (!found || j.noRaw)
		j.unread = j.unread || slices.Contains(unread, p)
		j.nftables = j.nftables || slices.Contains(words, "--firewall-backend=nftables")
		if !found || is.since(j.running) {
			j.running = is
		}
		found = true
	}
	if err != nil {
		return j, fmt.Errorf("find dockerd: %w", err)
	}
	if j.next, err = d.version(ctx, path); err != nil && found {
		j.next, err = release{}, nil // it is being replaced: until it is known, no key
	}
	if !found {
		j.running = j.next
	}
	return j, err
}

// zeroed are the strings of files that end each with a NUL, proc_pid_cmdline(5).
func zeroed(paths ...string) ([]string, error) {
	var all []string
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil && !process.Gone(err) {
			return nil, err
		}
		all = append(all, strings.Split(string(b), "\x00")...)
	}
	return all, nil
}

// program names a file's content: a package manager replaces the file.
type program struct {
	dev, inode uint64
	changed    syscall.Timespec
}

func identify(info os.FileInfo) program {
	stat := info.Sys().(*syscall.Stat_t)
	return program{stat.Dev, stat.Ino, stat.Mtim}
}

const versionTimeout = 5 * time.Second

// version asks a dockerd program for its version, once.
func (d *Daemon) version(ctx context.Context, path string) (release, error) {
	info, err := os.Stat(path)
	if err != nil {
		return release{}, fmt.Errorf("version of dockerd: %w", err)
	}
	id := identify(info)
	if known, ok := d.versions[id]; ok {
		return known, nil
	}
	ctx, cancel := context.WithTimeout(ctx, versionTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, "--version")
	cmd.Args[0] = "dockerd" // by this name it decides what it is
	out, err := cmd.Output()
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

var versionWord = regexp.MustCompile(`^Docker version v?(\d+)\.(\d+)\.`)

// parseVersion reads "Docker version 28.2.0, build 879ac3f".
func parseVersion(line string) (release, error) {
	m := versionWord.FindStringSubmatch(line)
	if m == nil {
		return release{}, fmt.Errorf("version of dockerd: %.80q says none", strings.TrimSpace(line))
	}
	major, err1 := strconv.Atoi(m[1])
	minor, err2 := strconv.Atoi(m[2])
	return release{major, minor}, errors.Join(err1, err2)
}
