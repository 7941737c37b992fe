package docker

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/gremesh/gremesh/bridge/procs"
)

// directKey makes dockerd pass packets that other hosts route to a container's
// own address. It exists since Docker 28.2 (moby pull request 49832). An older
// dockerd does not start if daemon.json has a key that it does not know.
const directKey = "allow-direct-routing"

var (
	firstToDrop = release{28, 0} // drops them by one rule per container, in table raw
	firstToObey = release{28, 2} // knows directKey
)

// directRouting has all facts that decide whether Docker lets packets through to
// containers if the packets arrive by the NIC, without a tunnel.
type directRouting struct {
	next     release // version of the dockerd that starts next; zero if unknown
	running  release // version of the running dockerd; next if none runs
	option   bool    // the running dockerd has directKey as a command-line flag
	key      bool    // daemon.json sets directKey to true
	unread   bool    // the running dockerd started without directKey
	nftables bool    // the firewall backend is nftables
	mark     bool    // daemon.json has acceptKey
	unmarked bool    // the running dockerd started without acceptKey
}

// obstacle returns the reason why Docker drops these packets. It returns an
// empty string if Docker lets them through.
func (j directRouting) obstacle() string {
	switch {
	case j.nftables && !j.running.since(firstToDrop):
		return ""
	case j.nftables && !j.running.since(firstToAccept):
		return "Docker's firewall backend is nftables, which drops them whatever other rules say: use iptables (firewall-backend)"
	case !j.running.since(firstToDrop), j.option:
		return ""
	case !j.running.since(firstToObey):
		return fmt.Sprintf("Docker %s drops them: use 28.2 or later", j.running)
	case j.nftables && !j.mark:
		return "daemon.json has no " + acceptKey
	case j.nftables && j.unmarked:
		return "dockerd was started without " + acceptKey + ": restart Docker"
	case !j.key:
		return "daemon.json has no " + directKey + ": true"
	case j.unread:
		return "dockerd was started without " + directKey + ": restart Docker"
	}
	return ""
}

// takes reports whether daemon.json may have directKey. A dockerd that has it
// as a flag does not start if the file has it, too.
func (j directRouting) takes() bool { return j.next.since(firstToObey) && !j.option }

// refuses reports whether the next dockerd would not start with directKey in
// the file. It returns false if that dockerd's version is unknown.
func (j directRouting) refuses() bool { return j.next != (release{}) && !j.takes() }

// judge collects the facts about the running dockerd and about the one that
// starts next. It returns an error if the running dockerd's version is unknown.
// If no dockerd runs, it returns an error if the next one's version is unknown.
func (d *Daemon) judge(ctx context.Context, running, unread []procs.Process, f file) (directRouting, error) {
	j := directRouting{key: f.settings().Direct == "true", nftables: f.text("firewall-backend") == "nftables"}
	found := false
	for _, p := range running {
		args, err := arguments(p)
		if err != nil {
			return j, err
		}
		if len(args) == 0 { // the process has ended
			continue
		}
		// If several dockerds run, gremesh cannot tell which one owns docker0.
		// Therefore the flag counts only if all of them have it.
		option := slices.Contains(args, "--"+directKey) || slices.Contains(args, "--"+directKey+"=true")
		j.option = option && (!found || j.option)
		j.unread = j.unread || slices.Contains(unread, p)
		backend, _ := flagValue(args, "--firewall-backend")
		j.nftables = j.nftables || backend == "nftables" || d.asked.backend == "nftables"
		found = true
	}
	path, err := installed(running)
	if err == nil {
		j.next, err = d.version(ctx, path)
	}
	if !found {
		j.running = j.next
		return j, err
	}
	if j.running = d.asked.version; j.running == (release{}) {
		return j, errors.New("the version of the dockerd that runs is not known yet")
	}
	return j, nil // if next is unknown, dockerd is being replaced: no key is set until it is known
}
