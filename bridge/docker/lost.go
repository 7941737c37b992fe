package docker

import (
	"bytes"
	"errors"
	"io/fs"
	"path/filepath"
	"strconv"

	"github.com/gremesh/gremesh/mesh/regular"
)

// known completes a state that has no record of daemon.json before gremesh's first
// write, although gremesh has written: docker.json and its copy are lost. It must
// not take gremesh's own values for the operator's, so it looks for evidence of its
// writes: the file of before, and the history. Values that are gremesh's count as
// Written. Their former values come from the file of before; without that file
// they count as not set and are listed in Lost. Without evidence s is unchanged.
func (d *Daemon) known(s state, now []byte) (state, error) {
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
	onlyOurs := false // the file differs from that of before in gremesh's keys alone
	if hasBefore {
		b, err := parse(before)
		if err != nil {
			return s, err
		}
		again, err := become(before, now)
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

// record stores the record of daemon.json before gremesh if it was lost.
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

// wrote reports whether gremesh has set a key of daemon.json to a value, as far as
// its history goes back.
func (d *Daemon) wrote(name, value string) bool {
	return d.cfg.Wrote != nil && d.cfg.Wrote("daemon.json "+name, value)
}

// lostRecord is the trouble of a host whose record of daemon.json before gremesh is
// lost; nil: it is not.
func (d *Daemon) lostRecord(s state) *Trouble {
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
