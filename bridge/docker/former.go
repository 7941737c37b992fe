package docker

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/gremesh/gremesh/mesh/drift"
	"github.com/gremesh/gremesh/mesh/regular"
)

// diffFormer returns the changes that restore the original values. It leaves
// out a key that somebody else has changed since gremesh wrote it.
func diffFormer(want Settings, have State) []Change {
	if have.Former == nil {
		return nil
	}
	var all []Change
	differ := func(name, is, should, value string) {
		all = append(all, Change{
			Drift: drift.Of(keyOf(name), is, should),
			key:   key{name, value}, back: true,
		})
	}
	should := *have.Former
	if should.Bip == "" && want.TransitionalBip.IsValid() {
		should.Bip = want.TransitionalBip.String()
	}
	if have.Bip != should.Bip && have.bipIsOurs() {
		differ("bip", have.Bip, should.Bip, quoted(should.Bip))
	}
	if have.MTU != should.MTU && have.MTU == have.Written.MTU {
		differ("mtu", number(have.MTU), number(should.MTU), number(should.MTU))
	}
	if have.Direct != should.Direct && have.Written.Direct != "" && have.Direct == have.Written.Direct {
		differ(directKey, have.Direct, should.Direct, should.Direct)
	}
	if have.Accept != should.Accept && have.Written.Accept != "" && have.Accept == have.Written.Accept {
		differ(acceptKey, have.Accept, should.Accept, quoted(should.Accept))
	}
	return all
}

func (a State) bipIsOurs() bool {
	return a.Bip != "" && (a.Bip == a.Written.Bip || a.Bip == a.TransitionalBip)
}

// Stays lists the keys that somebody else has changed since gremesh wrote them.
// gremesh does not restore these keys.
func Stays(have State) []string {
	if have.Former == nil {
		return nil
	}
	var all []string
	stays := func(name, is string) {
		if is == "" {
			is = "not set"
		}
		all = append(all, fmt.Sprintf("daemon.json %s stays %s: another program, or a person, has changed it since", name, is))
	}
	if have.Bip != have.Former.Bip && !have.bipIsOurs() {
		stays("bip", have.Bip)
	}
	if have.MTU != have.Former.MTU && have.MTU != have.Written.MTU {
		stays("mtu", number(have.MTU))
	}
	if have.Direct != have.Former.Direct && have.Written.Direct != "" && have.Direct != have.Written.Direct {
		stays(directKey, have.Direct)
	}
	if have.Accept != have.Former.Accept && have.Written.Accept != "" && have.Accept != have.Written.Accept {
		stays(acceptKey, have.Accept)
	}
	return all
}

// note records the values that the changes are about to write.
func (s *savedState) note(changes []Change) {
	for _, c := range changes {
		switch {
		case c.back && c.key.name == "bip" && c.Should != s.Former.Bip:
			s.TransitionalBip = c.Should
		case c.back:
		case c.key.name == "bip":
			s.Written.Bip = c.Should
		case c.key.name == "mtu":
			s.Written.MTU, _ = strconv.Atoi(c.Should) // it was formatted from a number
		case c.key.name == directKey:
			s.Written.Direct = c.Should
		case c.key.name == acceptKey:
			s.Written.Accept = c.Should
		}
	}
}

// putBack returns daemon.json with our keys as in merged; was is the current
// content. If only our keys have changed since our first write, it edits the
// copy from before that write. Then spaces, too, are as they were. It returns
// nothing if there was no file originally and no other key is in it now.
func (d *Daemon) putBack(was, merged []byte, s savedState) ([]byte, error) {
	var before []byte
	if s.Former.Existed {
		var err error
		if before, err = regular.Read(filepath.Join(d.cfg.StateDir, backupFile)); err != nil {
			return merged, nil //nolint:nilerr // without the copy only the spaces may differ
		}
	}
	if again, err := withKeysOf(before, was); err == nil && bytes.Equal(again, was) {
		return withKeysOf(before, merged)
	}
	f, err := parse(merged)
	if err != nil || s.Former.Existed || len(f.object.Members) > 0 || bytes.ContainsAny(merged, "/") {
		return merged, err
	}
	return nil, nil
}

// withKeysOf returns the daemon.json b with our keys set as in the daemon.json
// like.
func withKeysOf(b, like []byte) ([]byte, error) {
	from, err := parse(b)
	if err != nil {
		return nil, err
	}
	to, err := parse(like)
	if err != nil {
		return nil, err
	}
	was, is := from.settings(), to.settings()
	var keys []key
	if was.Bip != is.Bip {
		keys = append(keys, key{"bip", quoted(is.Bip)})
	}
	if was.MTU != is.MTU {
		keys = append(keys, key{"mtu", number(is.MTU)})
	}
	if was.Direct != is.Direct {
		keys = append(keys, key{directKey, is.Direct})
	}
	if was.Accept != is.Accept {
		keys = append(keys, key{acceptKey, quoted(is.Accept)})
	}
	if len(keys) == 0 {
		return b, nil
	}
	return merge(b, keys)
}

func quoted(s string) string {
	if s == "" {
		return ""
	}
	return strconv.Quote(s)
}

// remove deletes daemon.json. If dir is set, it also deletes the directory if
// nothing else is in it.
func (d *Daemon) remove(dir bool) error {
	if err := os.Remove(d.cfg.Path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove Docker's configuration: %w", err)
	}
	if dir {
		_ = os.Remove(filepath.Dir(d.cfg.Path)) // fails unless the directory is empty
	}
	return nil
}

// remove deletes a member. The white space before it stays, before the next
// member.
func (f file) remove(name string) error {
	if f.find(name) == nil {
		return nil
	}
	if err := f.root.Patch(fmt.Appendf(nil, `[{"op": "remove", "path": "/%s"}]`, name)); err != nil {
		return err
	}
	if len(f.object.Members) == 0 && len(bytes.TrimSpace(f.object.AfterExtra)) == 0 {
		f.object.AfterExtra = slices.Clip(f.object.AfterExtra[:0])
	}
	return nil
}
