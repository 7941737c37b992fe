package docker

import (
	"bytes"
	"errors"
	"io/fs"
	"path/filepath"
	"strconv"

	"github.com/gremesh/gremesh/mesh/regular"
)

// known rebuilds the record of the original daemon.json if docker.json and its
// copy are lost. Without such a record, gremesh would take its own values for
// the operator's. known therefore looks for evidence that gremesh has written:
// the backup of the original file, and the history.
//
// Values that gremesh wrote go to Written. Their original values come from the
// backup. Without the backup they count as not set, and Lost lists them.
// Without evidence, or if s has a record, known returns s unchanged. now is the
// current content of daemon.json.
func (d *Daemon) known(s savedState, now []byte) (savedState, error) {
	if s.Former != nil {
		return s, nil
	}
	f, err := parse(now)
	if err != nil {
		return s, err
	}
	before, err := regular.Read(filepath.Join(d.cfg.StateDir, backupFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return s, err
	}
	hasBefore := err == nil
	var was Values
	onlyOurs := false // the file differs from the backup only in gremesh's keys
	if hasBefore {
		b, err := parse(before)
		if err != nil {
			return s, err
		}
		again, err := withKeysOf(before, now)
		was, onlyOurs = b.settings(), err == nil && bytes.Equal(again, now)
	}
	is := f.settings()
	found := &former{Path: d.cfg.Path, Existed: true, Values: is}
	s.Lost = nil
	ours := func(name, is, was string, take func()) {
		if known := onlyOurs && is != was; is == "" || !known && !d.wrote(name, is) {
			return
		}
		take()
		s.Former = found
		if !hasBefore {
			s.Lost = append(s.Lost, name)
		}
	}
	ours("bip", is.Bip, was.Bip, func() { s.Written.Bip, found.Bip = is.Bip, was.Bip })
	ours("mtu", number(is.MTU), number(was.MTU), func() { s.Written.MTU, found.MTU = is.MTU, was.MTU })
	ours(directKey, is.Direct, was.Direct, func() { s.Written.Direct, found.Direct = is.Direct, was.Direct })
	ours(acceptKey, is.Accept, was.Accept, func() { s.Written.Accept, found.Accept = is.Accept, was.Accept })
	return s, nil
}

// record stores the record of the original daemon.json if it was lost and can
// be rebuilt.
func (d *Daemon) record() error {
	s, err := d.load()
	if err != nil || s.Former != nil {
		return err
	}
	now, _, err := d.read()
	if err != nil {
		return err
	}
	if s, err = d.known(s, now); err != nil || s.Former == nil {
		return err
	}
	return d.store(s)
}

// wrote reports whether gremesh's history says that gremesh set a key of
// daemon.json to value. It returns false for writes that are older than the
// history.
func (d *Daemon) wrote(name, value string) bool {
	return d.cfg.Wrote != nil && d.cfg.Wrote("daemon.json "+name, value)
}

// lostRecord returns a Trouble if the original values of some keys are lost. It
// returns nil otherwise.
func (d *Daemon) lostRecord(s savedState) *Trouble {
	if len(s.Lost) == 0 {
		return nil
	}
	path := filepath.Join(d.cfg.StateDir, stateFile)
	names := ""
	for i, name := range s.Lost {
		if i > 0 {
			names += " and "
		}
		names += strconv.Quote(name)
	}
	return &Trouble{
		What: path + " was lost, and with it what " + d.cfg.Path + " had before gremesh for " + names + ": gremesh uninstall will remove these keys",
		Do:   "restore " + path + " from a backup; or enter the keys in its \"former\" and remove its \"lost\"",
	}
}
