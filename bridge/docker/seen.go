package docker

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"slices"
	"time"

	"github.com/gremesh/gremesh/bridge/procs"
)

// trackDaemons updates the values that the running dockerds started with. When
// trackDaemons finds a dockerd for the first time, it assumes that the dockerd
// started with the current file. It corrects this by the recorded lists Behind,
// StartedWithoutDirect, Read and Unmarked. A dockerd that started before the
// file was written stays unknown, unless the file still has the values that
// gremesh wrote. A dockerd in Old stays unknown, too.
func (d *Daemon) trackDaemons(running []procs.Process, s savedState, now Values) error {
	written, err := d.age()
	if err != nil {
		return err
	}
	seen := make(map[procs.Process]Values)
	for _, p := range running {
		v, known := d.seen[p]
		switch i := slices.IndexFunc(s.Behind, func(b behind) bool { return b.Process == p }); {
		case known:
			seen[p] = v
		case i >= 0 || !slices.Contains(s.Old, p):
			age, err := p.Age()
			if err != nil {
				return err
			}
			if i < 0 && age > written && !s.Written.agree(now) {
				continue
			}
			started := now
			if i >= 0 {
				started.MTU = s.Behind[i].MTU
			}
			switch {
			case slices.Contains(s.StartedWithoutDirect, p):
				started.Direct = ""
			case slices.Contains(s.Read, p):
				started.Direct = "true"
			}
			if s.unmarked(p) {
				started.Accept = ""
			}
			seen[p] = started
		}
	}
	d.seen = seen
	return nil
}

// age returns the time since daemon.json was last modified. It returns the
// longest possible time if there is no file.
func (d *Daemon) age() (time.Duration, error) {
	info, err := os.Stat(d.cfg.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return math.MaxInt64, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read Docker's configuration: %w", err)
	}
	return time.Since(info.ModTime()), nil
}

// agree reports whether daemon.json still has the bip and the mtu that gremesh
// wrote last. If so, every dockerd that ran at that time has been compared with
// them. A key that is not set in written is ignored, because gremesh did not
// need to change it. agree returns false if gremesh has written nothing.
func (written Values) agree(now Values) bool {
	return written != Values{} && (written.Bip == "" || written.Bip == now.Bip) && (written.MTU == 0 || written.MTU == now.MTU)
}

// compare records the running dockerds that started with other values than now,
// or may have. A dockerd that differs only in the MTU goes to Behind and needs
// no restart, unless back is set. All others go to Old. back is set if the
// original values are put back.
func (d *Daemon) compare(running []procs.Process, s *savedState, now Values, back bool) {
	s.Old, s.Behind = nil, nil
	for _, p := range running {
		v, known := d.seen[p]
		switch {
		case known && v.Bip == now.Bip && v.MTU == now.MTU:
		case known && v.Bip == now.Bip && !back:
			s.Behind = append(s.Behind, behind{p, v.MTU})
		default:
			s.Old = append(s.Old, p)
		}
	}
}
