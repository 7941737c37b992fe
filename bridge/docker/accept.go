package docker

import (
	"context"
	"slices"

	"github.com/gremesh/gremesh/bridge/process"
)

// acceptKey has dockerd accept packets with a mark on its bridges. It is of
// Docker 29.0 (moby pull request 50476); an older dockerd does not start with a
// key that it does not know. With its nftables backend Docker has no DOCKER-USER,
// and what another table accepts Docker drops all the same: with "icc": false,
// and what comes by the NIC.
const acceptKey = "bridge-accept-fwmark"

const backendKey = "firewall-backend"

var firstToAccept = release{29, 0}

// judgeAccept adds to have what is known of acceptKey: whether the dockerd that
// starts next needs it and takes it, whether it must not be there, and whether
// the one that runs has started without.
func (d *Daemon) judgeAccept(ctx context.Context, running []process.Process, f file, have *Actual) {
	for _, p := range running {
		if v, known := d.seen[p]; known && have.Accept != "" && v.Accept != have.Accept {
			have.AcceptUnread = true
		}
	}
	backend := f.text(backendKey)
	for _, p := range running {
		if args, err := arguments(p); err == nil && backend == "" {
			backend, _ = flagValue(args, "--"+backendKey)
		}
	}
	if backend == "" {
		backend = d.asked.backend
	}
	if backend == "" { // no dockerd has told: the file stays as it is
		return
	}
	path, err := installed(running)
	if err != nil {
		return
	}
	next, err := d.version(ctx, path)
	if err != nil {
		return
	}
	have.AcceptTakes = backend == "nftables" && next.since(firstToAccept)
	have.AcceptRefuses = !have.AcceptTakes
}

// AcceptTaken reports whether daemon.json has another mark than is wanted, which
// is not gremesh's: it stays.
func AcceptTaken(want Settings, have Actual) bool {
	return want.Accept != "" && have.AcceptTakes && have.Accept != "" && have.Accept != want.Accept && have.Accept != have.Written.Accept
}

// diffAccept returns what acceptKey should be; ok is false if it is as it should
// be, or is not gremesh's to change.
func diffAccept(want Settings, have Actual) (should string, ok bool) {
	switch {
	case want.Accept != "" && have.AcceptTakes:
		return want.Accept, have.Accept != want.Accept && !AcceptTaken(want, have)
	case (want.Accept == "" || have.AcceptRefuses) && have.Written.Accept != "" && have.Accept == have.Written.Accept && want.Bip.IsValid():
		if have.Former != nil {
			should = have.Former.Accept
		}
		return should, should != have.Accept
	}
	return "", false
}

// noteAccept notes which dockerds have not read acceptKey as it is about to be
// written.
func (s *state) noteAccept(now string, running []process.Process, seen map[process.Process]Values) {
	s.Unmarked = nil
	for _, p := range running {
		if v, known := seen[p]; now != "" && (!known || v.Accept != now) {
			s.Unmarked = append(s.Unmarked, p)
		}
	}
}

// unmarked reports whether a dockerd had started without acceptKey when that was
// written.
func (s *state) unmarked(p process.Process) bool { return slices.Contains(s.Unmarked, p) }
