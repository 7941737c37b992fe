package docker

import (
	"context"
	"slices"

	"github.com/gremesh/gremesh/bridge/procs"
)

// acceptKey makes dockerd accept packets with a given mark on its bridges. It
// exists since Docker 29.0 (moby pull request 50476). An older dockerd does not
// start if daemon.json has a key that it does not know.
//
// Docker's nftables backend needs this key, because that backend has no chain
// DOCKER-USER. The backend drops packets even if another table accepts them.
// This concerns packets between containers if "icc" is false, and packets that
// arrive by the NIC.
const acceptKey = "bridge-accept-fwmark"

const backendKey = "firewall-backend"

var firstToAccept = release{29, 0}

// judgeAccept sets the three fields of have that concern acceptKey. AcceptTakes
// is set if the next dockerd uses nftables and knows the key. AcceptRefuses is
// set if it does not. Neither is set if its backend or its version is unknown.
// AcceptUnread is set if a running dockerd is known to have started with
// another value than the file has.
func (d *Daemon) judgeAccept(ctx context.Context, running []procs.Process, f file, have *State) {
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
	if backend == "" { // backend unknown: leave the file unchanged
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

// AcceptTaken reports whether daemon.json has a mark that gremesh did not write
// and that differs from the wanted mark. gremesh leaves such a mark unchanged.
// AcceptTaken returns false if no mark is wanted, or if the next dockerd does
// not take the key.
func AcceptTaken(want Settings, have State) bool {
	return want.Accept != "" && have.AcceptTakes && have.Accept != "" && have.Accept != want.Accept && have.Accept != have.Written.Accept
}

// diffAccept returns the value that acceptKey should have; an empty value
// removes the key. It returns false if the key needs no change, or if gremesh
// must not change it.
func diffAccept(want Settings, have State) (should string, ok bool) {
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

// noteAccept records the running dockerds that have not read acceptKey with the
// value now, which is about to be written. A dockerd that is not in seen counts
// as one of them. If now is empty, noteAccept records none.
func (s *savedState) noteAccept(now string, running []procs.Process, seen map[procs.Process]Values) {
	s.Unmarked = nil
	for _, p := range running {
		if v, known := seen[p]; now != "" && (!known || v.Accept != now) {
			s.Unmarked = append(s.Unmarked, p)
		}
	}
}

// unmarked reports whether p had started without acceptKey when gremesh wrote
// that key.
func (s *savedState) unmarked(p procs.Process) bool { return slices.Contains(s.Unmarked, p) }
