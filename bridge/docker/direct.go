package docker

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/gremesh/gremesh/bridge/process"
)

// directKey has dockerd pass packets that other hosts route to a container's
// own address. It is of Docker 28.2 (moby pull request 49832); an older dockerd
// does not start with a key that it does not know.
const directKey = "allow-direct-routing"

var (
	firstToDrop = release{28, 0} // by a rule per container, in table raw
	firstToObey = release{28, 2} // directKey
)

// judgement is all that tells whether Docker lets packets through to containers
// that have come by the NIC, without a tunnel.
type judgement struct {
	next     release // of the dockerd that starts next; zero: not known
	running  release // of the one that runs; next where none does
	option   bool    // the running one's command line has directKey as a flag
	key      bool    // daemon.json has directKey, and true
	unread   bool    // the running one has started without
	nftables bool    // the firewall backend is nftables
	mark     bool    // daemon.json has acceptKey
	unmarked bool    // the running one has started without
}

// obstacle is why Docker does not let them through; empty: it does.
func (j judgement) obstacle() string {
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

// takes tells whether daemon.json may have directKey.
func (j judgement) takes() bool { return j.next.since(firstToObey) && !j.option }

// refuses tells whether dockerd would not start with it.
func (j judgement) refuses() bool { return j.next != (release{}) && !j.takes() }

// judge tells what is known of the dockerd that runs and of the one that starts
// next. A version that cannot be known is an error, unless one runs.
func (d *Daemon) judge(ctx context.Context, running, unread []process.Process, f file) (judgement, error) {
	j := judgement{key: f.settings().Direct == "true", nftables: f.text("firewall-backend") == "nftables"}
	found := false
	for _, p := range running {
		args, err := arguments(p)
		if err != nil {
			return j, err
		}
		if len(args) == 0 { // it has ended
			continue
		}
		// With several, which one has docker0 is not known: all must agree.
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
	return j, nil // an unknown next one is being replaced: until it is known, no key
}
